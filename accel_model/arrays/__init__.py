"""Kinds of arrays: ``base`` is the seam, one file a kind; ``pricing`` estimates for the search.

``accel_model.plugins`` finds a kind by its name.
"""
