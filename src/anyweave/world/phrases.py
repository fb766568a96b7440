"""How people in the emoji world ask and how the assistant answers: tables of phrasings.

Every fifth phrasing of a list with at least five is kept for tests (`usable`), so that a test never
asks in words that training has used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from anyweave.world.scenes import Split

T = TypeVar("T")
HELD_OUT_EVERY = 5


def usable(phrases: Sequence[T], split: Split) -> Sequence[T]:
    """The phrasings that a split may use. Short lists are shared by both."""
    if len(phrases) < HELD_OUT_EVERY:
        return phrases
    test = range(HELD_OUT_EVERY - 1, len(phrases), HELD_OUT_EVERY)
    return [phrase for n, phrase in enumerate(phrases) if (n in test) == (split == "test")]


# --- requests: {x} is what is wanted --------------------------------------------------------------

IMAGE_REQUESTS = (
    "Draw {x}.",
    "Show me a picture of {x}.",
    "Can you draw {x}?",
    "I want to see {x}.",
    "Could you sketch {x}?",
    "Please make an image of {x}.",
    "Give me a photo of {x}, please.",
    "A picture of {x}.",
    "Generate an image of {x}.",
    "May I have a picture of {x}?",
    "Let me see {x}.",
    "I need a drawing of {x}.",
    "Paint {x} for me.",
    "Create a picture that shows {x}.",
    "Show {x}, please.",
    "Could I have an illustration of {x}?",
    "Imagine {x} and draw it.",
    "image of {x}",
    "My daughter would love a picture of {x}.",
    "I would like to look at {x}.",
    "What does a picture of {x} look like?",
    "Visualize {x}.",
    "draw me {x}",
    "Please show me {x}.",
    "Design an image with {x}.",
    "I am making a card. Put {x} on it.",
    "Can I see {x}?",
    "Make me a painting of {x}.",
    "Picture {x}.",
    "How about an image of {x}?",
)
VIDEO_REQUESTS = (
    "Show me a video of {x}.",
    "Make a clip of {x}.",
    "Animate {x}.",
    "Can you make a video of {x}?",
    "I would like to watch {x} in a video.",
    "Please create an animation of {x}.",
    "A short clip of {x}.",
    "I want to watch a clip of {x}.",
    "Generate a video that shows {x}.",
    "Film {x} for me.",
    "Let me see a video of {x}.",
    "Could you animate {x}?",
    "Give me a short movie of {x}.",
    "video of {x}",
    "May I see a clip of {x}?",
    "Produce an animation with {x}.",
    "Show a moving picture of {x}.",
    "I need a clip of {x} for my channel.",
    "Please make a movie with {x}.",
    "How about a video of {x}?",
)
AUDIO_REQUESTS = (
    "Play the sound of {x}.",
    "Let me hear {x}.",
    "I want to hear {x}.",
    "Make the sound of {x}.",
    "Can I listen to {x}?",
    "Can you play {x}?",
    "Give me the noise of {x}.",
    "Generate the sound of {x}.",
    "What does {x} sound like?",
    "Could you make the noise of {x}?",
    "Please play an audio of {x}.",
    "A recording of {x}, please.",
    "How does {x} sound?",
    "audio of {x}",
    "I would like to hear {x}.",
    "I need the sound of {x} for a film.",
    "Create a sound effect of {x}.",
    "Play me {x}.",
    "Let me listen to {x}.",
    "May I hear {x}?",
)
BOTH_REQUESTS = (  # {x} is a thing that makes a sound
    "Show me a picture of {x} and play its sound.",
    "I want to see and hear {x}.",
    "Draw {x} and let me hear it.",
    "A picture and the sound of {x}, please.",
    "Give me an image of {x} together with its sound.",
    "Can you show me {x} and make its sound?",
    "Let me see {x} and listen to it.",
    "Picture and sound of {x}.",
    "What does {x} look like, and how does it sound?",
    "Can I see {x} and also hear it?",
)
TWO_PICTURES = (
    "Draw two pictures: {x}, and {y}.",
    "Show me {x}, and then another picture of {y}.",
    "I need a picture of {x} and one of {y}.",
    "First draw {x}, then draw {y}.",
    "Two images, please: {x}, and {y}.",
)
PICTURE_AND_CLIP = (  # {x} a thing, {m} how it moves
    "Show me a picture of {x} and a clip of it {m}.",
    "Draw {x}, then make a video of it {m}.",
    "I want an image of {x} and a video of it {m}.",
    "Give me {x} as a picture, and as a clip {m}.",
    "First a picture of {x}, then an animation of it {m}.",
)

# --- the assistant's words before a medium: the canonical caption {c} comes last ------------------

SHOW: dict[str, tuple[str, ...]] = {
    "image": (
        "Here is a picture of {c}.",
        "Here is {c}.",
        "Sure! Here is {c}.",
        "This is {c}.",
    ),
    "video": (
        "Here is a clip of {c}.",
        "Here is {c}.",
        "Sure! Here is a clip of {c}.",
        "This clip shows {c}.",
    ),
    "audio": (
        "Here is the sound of {c}.",
        "Listen: {c}.",
        "Sure! Here is the sound of {c}.",
        "This is the sound of {c}.",
    ),
}

# --- instructions on media ------------------------------------------------------------------------

DESCRIBE: dict[str, tuple[str, ...]] = {
    "image": (
        "Describe the picture.",
        "What is in this image?",
        "What do you see?",
        "Caption this picture.",
        "What does this picture show?",
        "Tell me what is in the photo.",
        "What can be seen here?",
        "Describe this image in a few words.",
        "Write a caption.",
        "Please say what you see in this image.",
    ),
    "video": (
        "Describe the video.",
        "What happens in this clip?",
        "What do you see in the video?",
        "Caption this clip.",
        "What does this video show?",
        "Tell me what happens here.",
        "What is going on in the clip?",
        "Describe this animation in a few words.",
        "Write a caption for the video.",
        "Please say what happens in this clip.",
    ),
    "audio": (
        "Describe the sound.",
        "What do you hear?",
        "What can be heard?",
        "Caption this audio.",
        "What is this sound?",
        "Tell me what you hear.",
        "What am I listening to?",
        "Describe this recording in a few words.",
        "Write a caption for the sound.",
        "Please say what can be heard in this recording.",
    ),
}
DESCRIPTION: dict[str, tuple[str, ...]] = {
    "image": ("The picture shows {c}.", "I see {c}."),
    "video": ("The clip shows {c}.", "I see {c}."),
    "audio": ("I hear {c}.", "This is the sound of {c}."),
}

WHAT_OBJECT: dict[str, tuple[str, ...]] = {
    "image": (
        "What is this?",
        "What kind of thing is in the picture?",
        "Which thing do you see?",
        "Name what is shown.",
        "What thing is that?",
    ),
    "video": (
        "What is moving in the clip?",
        "What is this?",
        "Which thing is in the video?",
        "Name what is shown.",
        "What thing is in the clip?",
    ),
    "audio": (
        "What makes this sound?",
        "What is that noise?",
        "Who or what is this?",
        "Where does this sound come from?",
        "What is making that noise?",
    ),
}
HOW_MANY = (
    "How many {p} are there?",
    "How many {p} do you see?",
    "Count the {p}.",
    "How many things are in the picture?",
    "What is the number of {p}?",
    "Tell me how many {p} are in the image.",
)
WHERE = (
    "Where is it?",
    "What is the background?",
    "What is behind it?",
    "Which background does it have?",
    "What kind of place is that?",
)
WHICH_MOTION = (
    "How does it move?",
    "What is it doing?",
    "What does the {n} do?",
    "Describe the motion.",
    "In which way does the {n} move?",
)
WHERE_RELATIVE = (
    "Where is the {a}?",
    "Where is the {a} relative to the {b}?",
    "Is the {a} left of, right of, above or below the {b}?",
    "How is the {a} placed next to the {b}?",
    "On which side of the {b} is the {a}?",
)
IS_IT = (
    "Is this {x}?",
    "Do you see {x}?",
    "Is there {x} here?",
    "Can you find {x} in it?",
    "Does this show {x}?",
)
IS_IT_HEARD = (
    "Is this {x}?",
    "Do you hear {x}?",
    "Could that be {x}?",
    "Is it the sound of {x}?",
    "Does this sound like {x}?",
)
WHAT_FIRST = ("What do you hear first?", "Which sound comes first?", "What is the first sound?")
WHAT_SECOND = (
    "What do you hear after that?",
    "Which sound comes second?",
    "What is the last sound?",
)

# --- crossing modalities --------------------------------------------------------------------------

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
EDIT = (
    "Please change this picture.",
    "Look at this picture.",
    "Here is my picture.",
    "I made this.",
)
DIFFERENCE = (
    "What is the difference between these pictures?",
    "Compare the two pictures.",
    "What do the pictures show?",
    "How do these images differ?",
    "Tell me what is in each picture.",
)
WHICH_MORE = (
    "Which picture has more things?",
    "Where are more things, in the first or the second picture?",
    "In which image do you count more?",
    "Which of the two shows more?",
    "Does the first or the second picture hold more things?",
)

# --- paraphrases of scenes ------------------------------------------------------------------------

SYNONYMS: dict[str, tuple[str, str]] = {  # name -> singular, plural
    "dog": ("puppy", "puppies"),
    "cat": ("kitten", "kittens"),
    "rabbit": ("bunny", "bunnies"),
    "hamburger": ("burger", "burgers"),
    "airplane": ("plane", "planes"),
    "bicycle": ("bike", "bikes"),
    "telephone": ("phone", "phones"),
    "donut": ("doughnut", "doughnuts"),
    "chicken": ("hen", "hens"),
    "horse": ("pony", "ponies"),
    "car": ("automobile", "automobiles"),
    "saxophone": ("sax", "saxes"),
    "fire": ("flame", "flames"),
    "house": ("home", "homes"),
    "cake": ("birthday cake", "birthday cakes"),
}
PLACES: dict[str, tuple[str, ...]] = {
    "white": ("", "on white", "on a white background", "with a white background"),
    "sky": ("under a blue sky", "in the sky", "with a blue sky", "in front of a blue sky"),
    "grass": ("on green grass", "on grass", "on the grass", "in a meadow", "on a green lawn"),
    "night": ("at night", "in the dark", "in the night", "by night"),
    "beach": ("on a beach", "at the beach", "on the beach", "on the sand"),
    "pink": ("on a pink background", "on pink", "with a pink background"),
}
RELATION_WORDS: dict[str, tuple[str, ...]] = {
    "left of": ("left of", "to the left of", "on the left of"),
    "right of": ("right of", "to the right of", "on the right of"),
    "above": ("above", "over", "on top of"),
    "below": ("below", "under", "beneath"),
}
MOTION_WORDS: dict[str, tuple[str, ...]] = {
    "moving left": ("moving left", "going left", "moving to the left", "going to the left"),
    "moving right": ("moving right", "going right", "moving to the right", "going to the right"),
    "rising": ("rising", "going up", "moving up", "floating up"),
    "falling": ("falling", "going down", "falling down", "dropping"),
    "spinning": ("spinning", "turning around", "rotating", "twirling"),
    "bouncing": ("bouncing", "jumping", "hopping", "jumping up and down"),
    "growing": ("growing", "getting bigger", "becoming larger", "getting larger"),
}
COUNT_WORDS: dict[int, tuple[str, ...]] = {
    2: ("two", "2", "a pair of", "a couple of"),
    3: ("three", "3", "a group of three"),
    4: ("four", "4", "a group of four"),
}
SOUND_WORDS: dict[str, tuple[str, ...]] = {  # beside the canonical phrase
    "dog": ("a barking dog", "a dog's bark", "a dog"),
    "cat": ("a meowing cat", "a cat's meow", "a cat"),
    "cow": ("a mooing cow", "a cow's moo", "a cow"),
    "frog": ("a croaking frog", "a frog's croak", "a frog"),
    "duck": ("a quacking duck", "a duck's quack", "a duck"),
    "bee": ("a buzzing bee", "a bee's buzz", "a bee"),
    "sheep": ("a bleating sheep", "a sheep's bleat", "a sheep"),
    "bird": ("a singing bird", "birdsong", "a bird"),
    "piano": ("piano music", "someone playing the piano", "a piano"),
    "guitar": ("guitar music", "someone playing the guitar", "a guitar"),
    "violin": ("violin music", "someone playing the violin", "a violin"),
    "trumpet": ("trumpet music", "someone playing the trumpet", "a trumpet"),
    "drum": ("drum beats", "someone beating a drum", "a drum"),
    "saxophone": ("saxophone music", "someone playing the sax", "a saxophone"),
    "banjo": ("banjo music", "someone playing the banjo", "a banjo"),
    "accordion": ("accordion music", "someone playing the accordion", "an accordion"),
    "bell": ("a ringing bell", "a bell"),
    "telephone": ("a ringing phone", "a telephone", "a phone call"),
    "helicopter": ("a flying helicopter", "a helicopter"),
    "applause": ("applause", "a clapping crowd", "clapping hands"),
    "waves": ("ocean waves", "the sea", "the waves at the beach"),
    "harp": ("harp music", "someone playing the harp", "a harp"),
    "organ": ("organ music", "someone playing the organ", "an organ"),
    "xylophone": ("xylophone music", "someone playing the xylophone", "a xylophone"),
}
SOUND_PAIRS = (
    "{a} then {b}",
    "{a} followed by {b}",
    "first {a} and then {b}",
    "{a} and after that {b}",
    "{a}, and next {b}",
)

# --- life: {c} stands for nothing here; each row is what is said, the reply, and what may be shown

MOODS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "I am in a bad mood.",
        "I am sorry to hear that. Let me cheer you up!",
        ("butterfly", "unicorn", "balloon"),
    ),
    (
        "I feel so sad today.",
        "I am sorry. I hope that this makes you smile.",
        ("dog", "panda", "rabbit"),
    ),
    ("I'm bored.", "Let us do something fun!", ("monkey", "octopus", "robot")),
    ("It's my birthday!", "Happy birthday!", ("cake", "balloon")),
    (
        "My exam went badly.",
        "Do not worry, next time will be better. Here is a friend for you.",
        ("panda", "cat", "dog"),
    ),
    ("I am tired.", "Take a break and look at something calm.", ("whale", "sunflower", "turtle")),
    ("I passed my exam!", "Congratulations, well done!", ("cake", "balloon", "rocket")),
    ("I feel lonely.", "You are not alone, I am here. Meet a friend.", ("dog", "cat", "bird")),
    ("I am hungry.", "Then let us look at something tasty!", ("pizza", "hamburger", "donut")),
    (
        "I had a terrible day.",
        "I am sorry. Tomorrow will be brighter.",
        ("sunflower", "butterfly", "unicorn"),
    ),
    (
        "I am so happy today!",
        "That is wonderful! Let us celebrate.",
        ("balloon", "cake", "unicorn"),
    ),
    ("I miss my pet.", "I understand. Here is someone to look at.", ("dog", "cat", "rabbit")),
    ("I love my mother.", "How sweet! Give her flowers.", ("rose", "sunflower")),
    ("I want to travel.", "What a good idea! Let us go.", ("airplane", "train", "rocket")),
    ("Work was so stressful.", "Take a deep breath and relax.", ("turtle", "whale", "tree")),
)
PLANS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "Help me plan a picnic.",
        "Bring fruit, a blanket and good friends.",
        ("apple", "watermelon", "grapes"),
    ),
    ("What should I cook tonight?", "How about something quick from the oven?", ("pizza",)),
    (
        "I am planning a trip to a farm.",
        "Wear boots, and say hello to the animals.",
        ("cow", "pig", "horse"),
    ),
    (
        "Ideas for a birthday party?",
        "Invite friends, play games and eat something sweet.",
        ("cake", "balloon"),
    ),
    (
        "What should I take to the zoo?",
        "Take water and a hat. You will see this animal.",
        ("elephant", "lion", "panda"),
    ),
    (
        "We want to go to the sea.",
        "Pack sun cream and look at the water.",
        ("whale", "fish", "turtle"),
    ),
    (
        "What can I plant in my garden?",
        "Plant something that loves the sun.",
        ("sunflower", "rose", "tree"),
    ),
    (
        "What do we do when it snows?",
        "Go outside and build something with the children.",
        ("snowman",),
    ),
    (
        "I need a healthy snack.",
        "Fruit and vegetables are good for you.",
        ("apple", "banana", "carrot"),
    ),
    ("How should I travel to work?", "This is healthy and cheap.", ("bicycle",)),
    (
        "I want to learn an instrument.",
        "Start with ten minutes each day.",
        ("piano", "guitar", "violin"),
    ),
    ("What can we do on a rainy day?", "Stay in, read and play some music.", ("piano", "guitar")),
)
JOKES: tuple[tuple[str, str], ...] = (
    ("cow", "Why does the cow wear a bell? Because her horns do not work!"),
    ("duck", "What time does a duck wake up? At the quack of dawn!"),
    ("bee", "What do you call a bee that cannot decide? A maybe!"),
    ("fish", "Why are fish so clever? They live in schools!"),
    ("cat", "What is a cat's favourite colour? Purr-ple!"),
    ("owl", "What does a clever owl say? Owl be back!"),
    ("snake", "What is a snake's favourite subject? Hiss-tory!"),
    ("banana", "Why did the banana see a doctor? It was not peeling well!"),
    ("piano", "Why is a piano hard to open? The keys are inside!"),
    ("bicycle", "Why did the bicycle fall over? It was two tired!"),
)
TELL_JOKE = (
    "Tell me a joke about {x}.",
    "Do you know a joke with {x}?",
    "Make me laugh with {x}.",
    "I need a joke about {x}.",
    "Can you joke about {x}?",
)
AND_DRAW = (
    "{r} And draw it.",
    "{r} Show me a picture too.",
    "{r} Add a picture, please.",
    "{r} I also want to see it.",
    "{r} With an image of it.",
)
HOMEWORK = (  # {n} things minus or plus {k} are {m}; the picture shows {m}
    ("There were {n} {p} and {k} went away. Draw what is left.", -1),
    ("I have {n} {p} and get {k} more. Show me all of them.", 1),
    ("Draw the result: {n} {p} minus {k}.", -1),
    ("Draw the result: {n} {p} plus {k}.", 1),
    ("If I take {k} from {n} {p}, how many remain? Draw them.", -1),
)
OUTSIDE = (
    "castle dragon dinosaur boat giraffe zebra chair table mountain computer "
    "pirate princess hat camera clock crocodile bridge tiger knight wolf "
    "lamp shark submarine volcano tractor spoon ghost kangaroo ship mouse "
    "bottle book crown tower camel skateboard wizard sword potato mermaid"
).split()
REFUSE: dict[str, tuple[str, ...]] = {
    "image": (
        "I am sorry, I cannot draw {x}. I could draw {y} instead.",
        "I do not know how to draw {x}. Shall I draw {y}?",
    ),
    "video": (
        "I am sorry, I cannot make a clip of {x}. I could show {y} instead.",
        "I do not know how to animate {x}. Shall I animate {y}?",
    ),
    "audio": (
        "I am sorry, I do not know the sound of {x}. I could play {y} instead.",
        "I do not know how {x} sounds. Shall I play {y}?",
    ),
}
SILENT = ("I do not know the sound of {x}.", "I am sorry, I do not know the sound of {x}.")
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
