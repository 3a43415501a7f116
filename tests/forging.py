"""Files as a stranger may have written them: each thing is lacking, or is something else."""

import copy

OTHERS = (None, True, -3, 0.5, "x", [], [[]], {}, {"x": {}}, [None, 1], [2, 1])


def forged(value):
    """Yields a place in what JSON holds, and a copy that lacks it or has something else there."""
    for place in _places(value):
        for other in OTHERS:
            changed, holder = _opened(value, place)
            holder[place[-1]] = other
            yield place, changed
        changed, holder = _opened(value, place)
        del holder[place[-1]]
        yield place, changed


def _opened(value, place):
    """Returns a copy, and what holds a place in it."""
    changed = holder = copy.deepcopy(value)
    for key in place[:-1]:
        holder = holder[key]
    return changed, holder


def _places(value, path=()):
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*path, key)
        if isinstance(inner, (dict, list)):
            yield from _places(inner, (*path, key))
