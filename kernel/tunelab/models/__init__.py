"""Base models and custom models: `find` names them without loading, `load` (worker only) brings and loads them."""
