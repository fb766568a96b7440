"""Any-to-any chat: text, images, videos and sounds in and out of one language model (NExT-GPT).

Importing the package imports no torch: take what you need from its rooms, such as
`anyweave.messages`.
"""

__version__ = "0.1.0"
