"""Runs the Neural Cleanse of the Adversarial Robustness Toolbox (ART), as shipped or with its reset repaired.

`KerasNeuralCleanse.reset` zeroes all variables of its optimiser before each label. In Keras 3 the learning rate is
one of them, so as shipped the mask never moves. The variant `repaired` sets the learning rate again after each reset
and changes nothing else.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from art.defences.transformer.poisoning import NeuralCleanse
from art.estimators.classification import KerasClassifier
from art.estimators.poison_mitigation.neural_cleanse import KerasNeuralCleanse
from keras_network import keras_network
from measure import Meter, Outcome, Task, neural_cleanse_outcome, read_task

PACKAGES = "adversarial-robustness-toolbox", "keras", "tensorflow-cpu"


def run(task: Task) -> Outcome:
    """Search for triggers with all settings as they ship."""
    network = keras_network(task.network)
    images = task.images.transpose(0, 2, 3, 1)
    task.check(network(images, training=False).numpy())
    defence = NeuralCleanse(KerasClassifier(network))(KerasClassifier(network))
    meter = Meter(task.labels, task.seconds)
    watch(defence, meter)
    if task.variant == "repaired":
        repair_reset(defence)
    classes = task.probabilities.shape[1]
    most = defence.steps * (len(images) // defence.batch_size) * defence.batch_size
    before = defence.mask_tensor_raw.numpy()
    with meter:
        defence.outlier_detection(images, np.eye(classes, dtype=np.float32)[task.classes])
    moved = float(np.abs(defence.mask_tensor_raw.numpy() - before).max())
    size = float(np.abs(defence.mask_tensor).sum())
    notes = [f"largest change of the mask's parameters since the start {moved:.3g}, size of the last mask {size:.0f}"]
    return neural_cleanse_outcome(meter, classes, PACKAGES, most, notes)


def watch(defence: KerasNeuralCleanse, meter: Meter) -> None:
    """Have the meter told of each step, which takes one batch forward and backward, and of each label."""
    step, search = defence.train, defence.generate_backdoor

    def train(images: np.ndarray, targets: Any) -> Any:
        result = step(images, targets)
        meter.count(len(images))
        return result

    def generate_backdoor(images: np.ndarray, classes: np.ndarray, target: np.ndarray) -> tuple[Any, Any]:
        label = int(np.argmax(target))
        meter.begin(label)
        mask, pattern = search(images, classes, target)
        meter.finish(label, float(np.abs(mask).sum()))
        return mask, pattern

    defence.train, defence.generate_backdoor = train, generate_backdoor


def repair_reset(defence: KerasNeuralCleanse) -> None:
    """Keep the learning rate when the optimiser is reset."""
    reset = defence.reset

    def repaired() -> None:
        reset()
        defence.opt.learning_rate = defence.learning_rate

    defence.reset = repaired


if __name__ == "__main__":
    task = read_task()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.keras.utils.set_random_seed(task.seed)
    run(task).write(task.record)
