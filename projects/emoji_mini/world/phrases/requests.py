"""Asking for media, and what is said around what is given or cannot be given."""

from __future__ import annotations

# {x} is what is wanted.
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
# The assistant's words before a medium: the canonical caption {c} comes last.
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
# Things that are not in the world: many, so that the model learns to know what is, instead of
# what is not.
OUTSIDE = (
    "castle dragon dinosaur boat giraffe zebra chair table mountain computer pirate princess "
    "hat camera clock crocodile bridge tiger knight wolf lamp shark submarine volcano tractor "
    "spoon ghost kangaroo ship mouse bottle book crown tower camel skateboard wizard sword "
    "potato mermaid armchair axe backpack badger bakery bamboo barrel basket bat beaver bed "
    "bench bison blanket blender bowl box bracelet broom brush bucket buffalo bulldozer bull "
    "button cabin cage calendar candle cannon canoe canyon carpet cart cathedral cave ceiling "
    "cello cheese cheetah cherry chimney church clarinet cloud clown cobra coconut coffin "
    "coin comb compass cookie couch cowboy crab crane crayon crib cricket crow cucumber cup "
    "curtain dagger daisy deer desert desk diamond doctor dolphin donkey door dove dragonfly "
    "drill eagle earring eel egg elevator elf eraser escalator eye factory fairy falcon fan "
    "feather fence ferry fireman flag flamingo flashlight flute fork fountain freezer garage "
    "garden gate giant glacier glass glove goat goblet gondola gorilla grasshopper hammer "
    "hammock hamster harbor hawk hedgehog helmet hill hippo hospital hotel hyena iceberg "
    "igloo iguana island jacket jaguar jar jellyfish jug kettle key keyboard kite knife koala "
    "ladder ladybug lantern laptop leaf lemur leopard letter library lighthouse lizard llama "
    "lobster locker lock magnet mailbox mammoth mango mansion map mask meadow medal melon "
    "meteor microphone microscope mill mirror mole moon moose mosque mosquito moth motorcycle "
    "moustache museum napkin necklace needle nest net notebook oak oboe onion orchid ostrich "
    "otter oven oyster paintbrush palace pan parachute parrot peach peacock pear pearl "
    "pelican pen pencil pepper photo pillow pineapple pipe plate plum pond porcupine postman "
    "pot pumpkin puppet puzzle pyramid quill raccoon racket radio rainbow rat raven "
    "refrigerator rhino ring river road rope ruler saddle sailor salmon sandal satellite "
    "saucer scarf school scooter scorpion seahorse seal seagull shell shield shirt shoe "
    "shovel shrimp sink skeleton skirt skunk skyscraper sled sloth slug snail soap sock sofa "
    "soldier spider spinach squirrel stadium stamp star starfish statue stool stove street "
    "suitcase sun swan swing tank taxi teacher teapot teddy telescope temple tent termite "
    "theater throne ticket tie toad toaster toilet tomato toothbrush torch towel toy tray "
    "treasure tricycle truck tuba tulip tunnel turkey typewriter umbrella vampire van vase "
    "vest village vulture waffle wagon wallet walrus wardrobe warrior wasp waterfall weasel "
    "well werewolf wheel wheelbarrow whistle window witch woodpecker worm wreath yacht yak "
    "zombie "
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
