"""One loop for all stages. A stage is a value, a recipe a function, a run a folder."""
