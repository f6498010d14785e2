"""The instruction set, declared once; words and text follow from the declarations."""
