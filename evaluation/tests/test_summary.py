from evaluation.evaluate import _layers


def test_the_summary_of_a_network_survives_layers_of_any_make():
    import keras

    class Stack(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self):
            super().__init__()
            self.layers = 2  # a name that anyone may choose
            self.dense = keras.layers.Dense(3)

        def call(self, x):
            for _ in range(self.layers):
                x = self.dense(x)
            return x

    class Inner(keras.Model):  # type: ignore[misc]
        def __init__(self):
            super().__init__()
            self.used, self.never_called = Stack(), keras.layers.Dense(4)

        def call(self, x):
            return self.used(x)

    image = keras.Input((3,))
    rows = list(_layers(keras.Model(image, Inner()(image))))
    assert [(row["type"], row["parameters"]) for row in rows] == [("InputLayer", 0), ("Stack", 12), ("Dense", 0)]
