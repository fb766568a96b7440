"""Later turns: another modality of the same thing, changes, corrections."""

from __future__ import annotations

SOUND_OF_THIS = (
    "What sound does this make?",
    "Play its sound.",
    "How does that sound?",
    "Let me hear it.",
    "Which noise does it make?",
    "Make the sound of this.",
    "Can I hear it?",
    "What does it sound like?",
    "I want to hear this.",
    "Give me the sound that goes with it.",
)
PICTURE_OF_THIS = (
    "Show me what makes this sound.",
    "Draw what you hear.",
    "What does it look like? Show me.",
    "Make a picture of it.",
    "Paint the thing that sounds like this.",
    "Show me a picture of that.",
    "Which thing is it? Draw it.",
    "I want to see it.",
    "Give me an image of this.",
    "Turn this sound into a picture.",
)
CLIP_OF_THIS = (
    "Make a clip of it.",
    "Show me a video of it.",
    "Now animate it.",
    "I want to see it move.",
    "Turn it into a video.",
    "Can you make it move?",
    "Let me watch it in a clip.",
    "Now a clip of it.",
    "Make a short video of this.",
    "Bring it to life in a clip.",
)
CLIP_WITH_MOTION = (  # {m} is a motion
    "Make a clip of it {m}.",
    "Show me a video of it {m}.",
    "Now animate it {m}.",
    "I want to see it {m} in a clip.",
    "Let me watch it {m}.",
)
MAKE_IT: dict[str, tuple[str, ...]] = {
    "moving left": ("Make it move left.", "Let it go to the left.", "Now it should go left."),
    "moving right": ("Make it move right.", "Let it go to the right.", "Now it should go right."),
    "rising": ("Make it rise.", "Let it go up.", "Now let it fly up."),
    "falling": ("Make it fall.", "Let it fall down.", "Now drop it."),
    "spinning": ("Make it spin.", "Let it turn around.", "Now rotate it."),
    "bouncing": ("Make it bounce.", "Let it jump.", "Now let it hop."),
    "growing": ("Make it grow.", "Let it get bigger.", "Now make it become larger."),
}
STILL = (  # from a clip to a picture
    "Now just a picture of it.",
    "Show me a still image of it.",
    "Draw it as a picture.",
    "Can I have a photo of it?",
    "Give me one still picture.",
)
WITH_COUNT = (
    "Now with {n} of them.",
    "Draw {n} of them.",
    "I want {n} of those.",
    "Make it {n}.",
    "Show me {n} of them.",
)
WITH_BACKGROUND = (
    "The same {b}.",
    "Now {b}.",
    "Put it {b}.",
    "And {b}?",
    "Can you show it {b}?",
)
INSTEAD = (
    "Now {x} instead.",
    "I meant {x}.",
    "Replace it with {x}.",
    "The same with {x}.",
    "Could it be {x} instead?",
)
NO_THE_SOUND = (
    "No, I mean the sound.",
    "I wanted to hear it, not see it.",
    "Sorry, I meant its sound.",
    "Not a picture! The sound, please.",
    "Oh, I was asking for the audio.",
)
NO_THE_PICTURE = (
    "No, I mean a picture.",
    "I wanted to see it, not hear it.",
    "Sorry, I meant an image of it.",
    "Not the sound! A picture, please.",
    "Oh, I was asking for an image.",
)
SORRY = ("Sorry for the mistake!", "Oh, I see.", "My mistake.")
THANKS = (
    "Thanks!",
    "Thank you.",
    "Great, thanks.",
    "Nice!",
    "Thank you so much!",
    "That looks great!",
)
WELCOME = ("You are welcome!", "My pleasure!", "Glad you like it!")
YES_PLEASE = (
    "Yes, please.",
    "Sure.",
    "That would be great.",
    "Please do.",
    "Yes, I would like that.",
)
