"""The order in which a file lists its nodes: the longest branch first, every other one just before its result is needed.

ONNX Runtime and TensorRT order for themselves. OpenCV 5.0 runs nodes as they are listed, and where a convolution is the last
before a sum that takes its result, it makes the sum part of it; then it refuses a summand that has to be broadcast, or that
lies in memory in another order.
"""

from collections import Counter

import onnx

__all__ = ["longest_branch_first"]


def longest_branch_first(model: onnx.ModelProto) -> None:
    """Lists the nodes of `model` anew, in place; nothing else is touched."""
    nodes = list(model.graph.node)
    makers = {name: place for place, node in enumerate(nodes) for name in node.output}
    needs = [{makers[name] for name in node.input if name in makers} for node in nodes]
    depths: list[int] = []
    for some in needs:
        depths.append(1 + max((depths[place] for place in some), default=0))
    users = Counter(place for some in needs for place in some)
    free = [place for place in range(len(nodes)) if not users[place]]
    backwards = []
    while free:
        place = free.pop()
        backwards.append(nodes[place])
        for needed in sorted(needs[place], key=lambda needed: depths[needed], reverse=True):
            users[needed] -= 1
            if not users[needed]:
                free.append(needed)
    del model.graph.node[:]
    model.graph.node.extend(reversed(backwards))
