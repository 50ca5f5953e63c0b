"""Hot loops, the only room that knows numba: arrays in, arrays out.

The one thing to know: nothing here knows a map, a store or what a seed means.
"""
