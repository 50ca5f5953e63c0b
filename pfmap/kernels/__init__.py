"""Hot loops: the only room that knows numba. Arrays in, arrays out; nothing here knows a map, a store or a seed's meaning."""
