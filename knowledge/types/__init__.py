"""The data types of the knowledge layer: frozen values that use the standard library only."""
