"""The graph of a Keras functional model, by the names of its layers."""

from segcore._keras import keras


def inputs_by_layer(model: keras.Model) -> dict[str, list[str]]:
    """For each layer of `model`, in its order, the names of the layers that feed it.

    An input layer has none. ValueError naming a layer that is called more than once, or that is
    fed from outside the model.
    """
    made_by = {id(_output(layer)): layer.name for layer in model.layers}
    found: dict[str, list[str]] = {}
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            found[layer.name] = []
            continue
        tensors = keras.tree.flatten(layer.input)
        outside = [tensor.name for tensor in tensors if id(tensor) not in made_by]
        if outside:
            raise ValueError(f"{layer.name}: its input {outside[0]} is not from {model.name}")
        found[layer.name] = [made_by[id(tensor)] for tensor in tensors]
    return found


def _output(layer: keras.layers.Layer) -> keras.KerasTensor:
    calls = len(layer._inbound_nodes)
    if calls != 1:
        raise ValueError(f"{layer.name} is called {calls} times; one call has one place in a graph")
    return layer.output
