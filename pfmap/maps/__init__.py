"""Parameter-function maps: standard normals z in, logits on every point of the domain out.

The one thing to know: f(x) = [logit(x) > 0], and a logit is the float64 logit of the float32 parameters, whatever
computes it.
"""

from pfmap.maps.gaussian_process import GaussianProcess, GaussianVector
from pfmap.maps.mlp import ACTIVATIONS, MLP, Perceptron
from pfmap.maps.protocol import LatentFunction, ParameterFunctionMap
from pfmap.maps.readout import FeatureFunction, Readout, ReadoutMap

__all__ = [
    "ACTIVATIONS",
    "MLP",
    "FeatureFunction",
    "GaussianProcess",
    "GaussianVector",
    "LatentFunction",
    "ParameterFunctionMap",
    "Perceptron",
    "Readout",
    "ReadoutMap",
]
