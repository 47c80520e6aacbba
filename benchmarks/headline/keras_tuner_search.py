"""Search as Yu et al. (2023) published it: Keras Tuner's RandomSearch, one model after the other.

    KERAS_BACKEND=tensorflow python benchmarks/headline/keras_tuner_search.py FOLDER

This separate program needs keras, keras-tuner and a backend, but not emufort. Those packages may be
in another environment, and each search starts with a fresh process. FOLDER holds `arrays.npz` and
`tasks.json`; the program writes `course.json` there.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np


def one_thread(backend: str) -> None:
    """Limit a backend to one thread where environment variables do not."""
    if backend == "tensorflow":
        import tensorflow

        tensorflow.config.threading.set_intra_op_parallelism_threads(1)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    elif backend == "torch":
        import torch

        torch.set_num_threads(1)


def main() -> None:
    folder = Path(sys.argv[1])
    plan = json.loads((folder / "tasks.json").read_text())
    arrays = dict(np.load(folder / "arrays.npz"))
    import keras
    import keras_tuner

    one_thread(keras.backend.backend())
    tasks = plan["tasks"]

    def build(parameters: Any) -> Any:
        task = tasks[parameters.Int("candidate", 0, len(tasks) - 1)]
        layers = [keras.layers.Input((task["sizes"][0],))]
        layers += [keras.layers.Dense(w, activation="relu") for w in task["sizes"][1:-1]]
        layers.append(keras.layers.Dense(task["sizes"][-1], activation="sigmoid"))
        model = keras.Sequential(layers)
        model.compile(optimizer=keras.optimizers.Adam(task["learning_rate"]), loss="mse")
        return model

    done: list[tuple[float, float, float]] = []

    class Watched(keras_tuner.RandomSearch):
        def on_trial_end(self, trial: Any) -> None:
            super().on_trial_end(trial)
            # A failed trial has no score. Keras Tuner continues, but the comparison must stop.
            if trial.score is None:
                raise RuntimeError(trial.message)
            spent = time.process_time() - start_cpu, time.perf_counter() - start_wall
            done.append((*spent, float(trial.score)))
            print(len(done), *done[-1], file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as scratch:
        tuner = Watched(
            build, objective="val_loss", max_trials=len(tasks), seed=1, directory=scratch,
            overwrite=True,
        )  # fmt: skip
        start_cpu, start_wall = time.process_time(), time.perf_counter()
        tuner.search(
            arrays["x_train"],
            arrays["y_train"],
            validation_data=(arrays["x_validation"], arrays["y_validation"]),
            batch_size=plan["batch_size"],
            epochs=plan["epochs"],
            callbacks=[keras.callbacks.EarlyStopping(patience=plan["patience"])],
            verbose=0,
        )
    versions = {"keras": keras.__version__, "keras_tuner": keras_tuner.__version__}
    backend = keras.backend.backend()
    versions[backend] = __import__(backend).__version__
    course = {"versions": versions, "trials": done}
    (folder / "course.json").write_text(json.dumps(course) + "\n")


if __name__ == "__main__":
    main()
