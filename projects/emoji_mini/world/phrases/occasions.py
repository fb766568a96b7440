"""Occasions for a medium: moods, plans, jokes, homework."""

from __future__ import annotations

# Each row: what is said, the reply, and what may be shown.
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
