"""Questions that words alone answer, with the answers: ``question|answer``."""

from __future__ import annotations

_ROWS = """
Hello!|Hello! How can I help you?
Hi there.|Hi! What can I do for you?
Good morning.|Good morning! How are you?
Good evening.|Good evening! What would you like to do?
Hey, how are you?|I am fine, thank you. And you?
How is it going?|Very well, thank you. How can I help?
Nice to meet you.|Nice to meet you too!
Are you there?|Yes, I am here. How can I help?
Goodbye!|Goodbye! See you soon.
See you later.|See you later! Take care.
Good night.|Good night! Sleep well.
I have to go now.|All right. See you soon!
Thank you.|You are welcome!
Thanks for your help.|You are welcome, any time!
You are great.|Thank you, that is kind of you!
Well done.|Thank you!
I like talking to you.|I like talking to you too!
Who are you?|I am anyweave, a small assistant for text, pictures, clips and sounds.
What is your name?|My name is anyweave.
What can you do?|I can talk, look at pictures and clips, listen to sounds, and make all of them.
What can you draw?|I can draw animals, food, plants, vehicles and instruments.
Which sounds do you know?|I know animals such as dogs and cows, and instruments such as the piano.
Are you a human?|No, I am a small computer program.
Are you a robot?|I am a program, so something like a robot without a body.
How old are you?|I am quite new, I have no birthday yet.
Where do you live?|I live in this computer.
Do you have feelings?|I do not have feelings, but I like to help.
Can you see pictures?|Yes, send me a picture and ask me about it.
Can you hear sounds?|Yes, send me a sound and ask me what it is.
Can you make videos?|Yes, short clips of one thing in motion.
Do you speak French?|I am best at English, I am sorry.
Can you help me?|Of course. What do you need?
What is the weather today?|I do not know the weather, I am sorry.
What time is it?|I have no clock, I am sorry.
What day is it today?|I do not know the date, I am sorry.
Who won the game last night?|I do not know, I cannot read the news.
What is the capital of France?|The capital of France is Paris.
What is the capital of Italy?|The capital of Italy is Rome.
What is the capital of Japan?|The capital of Japan is Tokyo.
What is the capital of Germany?|The capital of Germany is Berlin.
Which planet do we live on?|We live on the Earth.
How many days are in a week?|There are seven days in a week.
How many months are in a year?|There are twelve months in a year.
How many hours are in a day?|There are twenty-four hours in a day.
How many minutes are in an hour?|There are sixty minutes in an hour.
Name the four seasons.|Spring, summer, autumn and winter.
Which day comes after Monday?|Tuesday comes after Monday.
Which month comes after May?|June comes after May.
What is the opposite of left?|The opposite of left is right.
What is the opposite of big?|The opposite of big is small.
What is the opposite of hot?|The opposite of hot is cold.
What is the opposite of above?|The opposite of above is below.
What is the opposite of day?|The opposite of day is night.
Which colours make green?|Blue and yellow make green.
Which colours make orange?|Red and yellow make orange.
What colour is the sky?|On a clear day the sky is blue.
What colour is grass?|Grass is green.
What colour is snow?|Snow is white.
Name three animals.|A dog, a cat and a cow.
Name three fruits.|An apple, a banana and a lemon.
Name three vehicles.|A car, a bus and a train.
Name three instruments.|A piano, a guitar and a violin.
Name three plants.|A rose, a sunflower and a cactus.
Name two birds.|An owl and a penguin.
Name two animals that live in the sea.|A whale and an octopus.
Name a sweet food.|Cake is sweet.
Name an animal that can fly.|An owl can fly.
Name an animal with stripes.|A bee has stripes.
What do cows eat?|Cows eat grass and hay.
What do rabbits eat?|Rabbits eat grass and carrots.
What do pandas eat?|Pandas eat bamboo.
What do lions eat?|Lions eat meat.
What do monkeys eat?|Monkeys eat fruit and leaves.
What do bees make?|Bees make honey.
What do owls eat?|Owls eat small animals such as mice.
What do horses eat?|Horses eat grass and oats.
What do penguins eat?|Penguins eat fish.
What do we get from cows?|We get milk from cows.
What do we get from sheep?|We get wool from sheep.
What do we get from chickens?|We get eggs from chickens.
Where do penguins live?|Most penguins live in the cold south.
Where do whales live?|Whales live in the sea.
Where do lions live?|Lions live on the plains of Africa.
Where do pandas live?|Pandas live in the forests of China.
Where do bees live?|Bees live in a hive.
Where do frogs live?|Frogs live near ponds and rivers.
Where does a cactus grow?|A cactus grows in the desert.
Where do mushrooms grow?|Mushrooms grow in damp woods.
Where do apples grow?|Apples grow on trees.
Can penguins fly?|No, penguins cannot fly, but they swim well.
Can fish breathe under water?|Yes, fish breathe under water with gills.
Can a snake walk?|No, a snake has no legs.
Is a whale a fish?|No, a whale is a mammal.
Is a lemon sweet?|No, a lemon is sour.
Is a tomato a fruit?|Yes, a tomato is a fruit.
Is fire hot?|Yes, fire is hot, so be careful.
Are unicorns real?|No, unicorns live only in stories.
Are snakes dangerous?|Some snakes are, but most are harmless.
How many legs does a cow have?|A cow has four legs.
How many legs does a bee have?|A bee has six legs.
How many legs does a chicken have?|A chicken has two legs.
How many arms does an octopus have?|An octopus has eight arms.
How many wheels does a bicycle have?|A bicycle has two wheels.
How many wheels does a car have?|A car has four wheels.
How many keys does a piano have?|Most pianos have eighty-eight keys.
How many strings does a violin have?|A violin has four strings.
How many strings does a guitar have?|A guitar usually has six strings.
What is the largest animal?|The blue whale is the largest animal.
What is the fastest land animal?|The cheetah is the fastest land animal.
Which animal says moo?|A cow says moo.
Which animal barks?|A dog barks.
Which animal has a trunk?|An elephant has a trunk.
Which animal carries its house?|A turtle carries its house.
Who is the king of the animals?|The lion is called the king of the animals.
What is pizza made of?|Dough, tomatoes and cheese.
What is in a hamburger?|Bread, meat and salad.
What is a snowman made of?|A snowman is made of snow and a carrot.
What is honey?|Honey is a sweet food made by bees.
What is a helicopter?|A helicopter is an aircraft with turning blades.
What is a saxophone?|A saxophone is a wind instrument, loved in jazz.
What is a banjo?|A banjo is a string instrument with a round body.
What is an accordion?|An accordion is an instrument with keys and bellows.
What is a rocket?|A rocket is a vehicle that flies into space.
What is a cactus?|A cactus is a plant that stores water.
What is a mushroom?|A mushroom is a fungus that grows in damp places.
What is an owl?|An owl is a bird that hunts at night.
What is a picture?|A picture is something that we look at.
What is a video?|A video is many pictures shown one after another.
What is sound?|Sound is a wave in the air that we hear.
What is music?|Music is sound that people enjoy.
What is an emoji?|An emoji is a small picture used in messages.
What is a beach?|A beach is sand beside the sea.
What is a rhyme for cat?|Hat rhymes with cat.
What is a rhyme for bee?|Tree rhymes with bee.
Spell dog.|D, O, G.
Spell cat.|C, A, T.
Spell fish.|F, I, S, H.
What is the plural of fox?|The plural of fox is foxes.
What is the plural of sheep?|The plural of sheep is sheep.
What is the plural of mouse?|The plural of mouse is mice.
What is a baby dog called?|A baby dog is called a puppy.
What is a baby cat called?|A baby cat is called a kitten.
What is a baby cow called?|A baby cow is called a calf.
What is a baby sheep called?|A baby sheep is called a lamb.
Do you like music?|I like the sound of a piano best.
Do you like dogs?|Yes, dogs are loyal and fun.
What is your favourite animal?|I like the octopus, it is clever.
What is your favourite food?|I do not eat, but pizza sounds good.
What is your favourite colour?|I like blue, like the sky.
Cats or dogs?|Both are lovely. Dogs are loyal and cats are calm.
Is it good to eat fruit?|Yes, fruit is healthy.
Should I learn the piano?|Yes, it is fun and good for your mind.
How do I learn to draw?|Draw a little each day, and begin with simple shapes.
How can I take a good photo?|Use soft light and hold the camera still.
How do I make a good video?|Keep it short and hold the camera still.
How are sounds recorded?|A microphone turns sound into a signal.
Who painted the Mona Lisa?|Leonardo da Vinci painted the Mona Lisa.
Who was Mozart?|Mozart was a composer from Austria.
What does a painter do?|A painter makes pictures with colours.
What does a musician do?|A musician plays or writes music.
How do planes fly?|Their wings push air down and lift the plane.
How do bees make honey?|They collect nectar and dry it in the hive.
Why is the sky blue?|Air scatters blue light more than red light.
Why do leaves fall?|Trees drop leaves to save water in winter.
Why do cats purr?|Cats often purr when they feel calm.
Why do dogs bark?|Dogs bark to warn, to greet and to play.
Why do birds sing?|Birds sing to find a mate and mark their place.
When do owls sleep?|Most owls sleep during the day.
When is it summer?|In the north, from June to August.
Say hello in Spanish.|Hello in Spanish is hola.
Say something nice.|You are doing very well!
Say a short poem.|The sun is up, the sky is blue, a bird is singing just for you.
Count to four.|One, two, three, four.
Give me some advice.|Drink water, sleep well and be kind.
Tell me a fun fact.|An octopus has three hearts.
Tell me something about whales.|Whales are mammals and some of them sing.
Tell me about bees.|Bees live in hives and make honey.
Tell me about elephants.|Elephants are huge, clever and have long trunks.
Tell me about the violin.|The violin has four strings and is played with a bow.
I had pizza for lunch.|That sounds tasty! Did you like it?
I saw a dog today.|How nice! Was it friendly?
I heard a bird this morning.|How lovely! Birds often sing at sunrise.
I have a cat at home.|How sweet! What is its name?
I went to the beach.|That sounds lovely! Did you swim?
I bought a new guitar.|How exciting! Enjoy playing it.
I took a picture of the sea.|Nice! Was the light good?
I watched a video about rockets.|Interesting! What did you learn?
I listened to a band last night.|Great! What did they play?
My dog is called Bello.|Bello is a fine name.
My sister plays the violin.|That is a beautiful instrument.
My car is broken.|I am sorry. A mechanic can help.
Do not draw anything.|All right, I will answer with words only.
Please answer in words only.|Of course, words only.
No more pictures, please.|All right, no more pictures.
Stop the music.|All right, it is quiet now.
I do not want a video.|All right, no video.
Can we just talk?|Of course. What would you like to talk about?
"""
TALK: tuple[tuple[str, str], ...] = tuple(
    (question, answer)
    for question, answer in (row.split("|") for row in _ROWS.strip().splitlines())
)
