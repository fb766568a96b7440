"""Questions about media, and how a description begins."""

from __future__ import annotations

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
