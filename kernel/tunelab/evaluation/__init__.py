"""Worker only: answers from models. The comparison of models is built on it."""
