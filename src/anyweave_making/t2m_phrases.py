"""How people ask for a medium and how it is handed over: tables that `t2m` composes.

Slots: {v} a verb phrase such as "make a short clip of two dogs running", {V} the same with a
capital, {x} the caption in the middle of a sentence, {X} at its beginning, {m} the word for the
medium.
"""

from __future__ import annotations

from anyweave.messages import Modality

# Words for a medium, with article.
NOUNS: dict[Modality, tuple[str, ...]] = {
    "image": ("a picture", "an image", "a photo", "a photograph"),
    "video": ("a video", "a clip", "a short clip", "a short video", "a bit of footage"),
    "audio": ("a recording", "an audio clip", "a sound clip", "some audio", "a short recording"),
}

# What is done to get one.
VERBS: dict[Modality, tuple[str, ...]] = {
    "image": ("make", "create", "generate", "produce", "show me", "give me", "make me", "get me"),
    "video": ("make", "create", "generate", "produce", "show me", "give me", "make me", "get me"),
    "audio": ("make", "create", "generate", "produce", "play me", "give me", "let me hear"),
}

# How a caption follows the word for the medium, by its form (see `captions`).
LINKS: dict[str, tuple[str, ...]] = {
    "noun": ("of {x}", "of {x}", "with {x}", "that has {x} in it"),
    "clause": ("in which {x}", "where {x}"),
    "other": ('for the caption "{x}"', "that fits these words: {x}", 'titled "{x}"'),
}

# Politeness around the verb phrase.
ASKS = (
    "{V}.",
    "{V}.",
    "{V}, please.",
    "Please {v}.",
    "Can you {v}?",
    "Could you {v}?",
    "Could you please {v}?",
    "Would you {v}?",
    "Would you mind? I need you to {v}.",
    "I'd like you to {v}.",
    "I'd love it if you could {v}.",
    "Any chance you could {v}?",
    "Do you think you could {v}?",
    "Is it possible for you to {v}?",
    "I was hoping you could {v}.",
    "Let's try something: {v}.",
    "Next task: {v}.",
    "One more thing. {V}.",
)

# What the medium is wanted for, said before or after the request.
REASONS: dict[Modality, tuple[str, ...]] = {
    "image": (
        "I'm making slides for tomorrow.",
        "It's for a birthday card.",
        "I need it for the cover of a notebook.",
        "My blog post still has no picture.",
        "I'm decorating a classroom wall.",
        "It's going to be my new wallpaper.",
        "I want to see it before I try to paint it.",
        "We're collecting ideas for a poster.",
        "I'm writing a story and need to see the scene.",
        "It's for a flash card.",
    ),
    "video": (
        "I'm cutting a short film together.",
        "It should play in the background of a talk.",
        "I need something that moves for our home page.",
        "My story needs an establishing shot.",
        "It's for the opening of a presentation.",
        "I'd like to see how it moves.",
        "We're putting a showreel together.",
        "It's for a loop on the screen in our hallway.",
        "A still picture won't do here.",
        "I need a few seconds to fill a gap.",
    ),
    "audio": (
        "I'm mixing a radio play.",
        "It's for a quiz where people guess sounds.",
        "I need it as a notification sound.",
        "My video has no sound yet.",
        "It should play while guests come in.",
        "I'm collecting sounds for a game.",
        "I want to know what that would be like with my eyes closed.",
        "It's for a meditation I'm recording.",
        "We're building a soundscape for an exhibition.",
        "I need a few seconds for a podcast.",
    ),
}

# Requests that do not go through verb and noun; some only hint at what is wanted.
DIRECT: dict[Modality, dict[str, tuple[str, ...]]] = {
    "image": {
        "noun": (
            "I'd like to see {x}.",
            "What would {x} look like?",
            "I can't quite picture {x}.",
            "Show me {x}.",
            "Let me see {x}.",
            "{X}, as a photo please.",
            "Can you illustrate {x}?",
            "I've been trying to imagine {x}.",
            "How would you photograph {x}?",
            "Visualise {x} for me.",
        ),
        "clause": (
            "Imagine a scene where {x}. What does it look like?",
            "I'm thinking of a moment in which {x}. Show me.",
            "Draw me this situation: {x}.",
            "Picture it: {x}. Now let me see it too.",
        ),
        "other": (
            "{X}. Can I see that?",
            "Illustrate this for me: {x}.",
            "I have a caption but no picture: {x}.",
            "Turn these words into a picture: {x}.",
        ),
    },
    "video": {
        "noun": (
            "I'd like to watch {x}.",
            "What would {x} look like in motion?",
            "Let me watch {x} for a moment.",
            "Animate this: {x}.",
            "I want to see {x} move.",
            "{X}, but as a video.",
            "Film {x} for me.",
            "A photo is not enough. I want to see {x} in motion.",
        ),
        "clause": (
            "Imagine a film where {x}. Show me a few seconds.",
            "I'd like to watch this happen: {x}.",
            "Here's my storyboard for one shot: {x}. Shoot it for me.",
            "How would it look on film when {x}?",
        ),
        "other": (
            "{X}. I'd like to see that move.",
            "Bring these words to life: {x}.",
            "Turn this into a few seconds of film: {x}.",
            "I have a title for a clip but no clip: {x}.",
        ),
    },
    "audio": {
        "noun": (
            "I'd like to hear {x}.",
            "What would {x} sound like?",
            "Let me listen to {x}.",
            "I wonder how {x} would sound.",
            "Play me the sound of {x}.",
            "{X}, just the sound of it.",
            "If I closed my eyes next to {x}, what would I hear?",
            "Do you know the sound of {x}? Let me hear it.",
        ),
        "clause": (
            "Imagine that {x}. What would I hear?",
            "What does it sound like when {x}?",
            "I'd like to hear this: {x}.",
            "My radio play has a scene where {x}. What should it sound like?",
        ),
        "other": (
            "{X}. What does that sound like?",
            "Turn these words into sound: {x}.",
            "I have a description but no recording: {x}.",
            "Let me hear this: {x}.",
        ),
    },
}

# The reply: an acknowledgement, a sentence that hands the medium over, perhaps an offer after it.
ACKNOWLEDGE = (
    "",
    "",
    "Sure.",
    "Of course.",
    "Gladly.",
    "With pleasure.",
    "All right.",
    "Certainly.",
    "Happy to.",
    "Good idea.",
    "No problem.",
    "That's a nice one.",
)
HAND_OVER: dict[str, tuple[str, ...]] = {
    "noun": (
        "Here is {m} of {x}:",
        "This is {m} of {x}:",
        "I made you {m} of {x}:",
        "Here you go, {x}:",
        "{X}, coming up:",
        "You asked for {x}:",
        "This should be what you had in mind, {x}:",
    ),
    "clause": (
        "Here is {m} in which {x}:",
        "In this one, {x}:",
        "I made you {m} where {x}:",
        "{X}, as you asked:",
    ),
    "other": (
        "Here it is. {X}:",
        "This is how I understand it. {X}:",
        'My version of "{x}":',
    ),
}
HAND_OVER_SHORT = (
    "Here you go:",
    "Here it is:",
    "This is what I came up with:",
    "I hope this is what you meant:",
    "How about this one?",
    "Here is my suggestion:",
    "There you are:",
)
OFFERS: dict[Modality, tuple[str, ...]] = {
    "image": (
        "Shall I change the light or the angle?",
        "Tell me if something should look different.",
        "I can make another one if you like.",
        "Does that match what you imagined?",
    ),
    "video": (
        "Shall I make it slower?",
        "Tell me if it should move differently.",
        "I can make another take if you like.",
        "Does the motion fit?",
    ),
    "audio": (
        "Shall I make it louder or calmer?",
        "Tell me if it should sound different.",
        "I can make another take if you like.",
        "Try it with headphones.",
    ),
}
