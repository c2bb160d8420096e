"""The example of a training loop of one's own, filled with the project's files."""
from __future__ import annotations

from pathlib import Path
from typing import Any

EXAMPLE = """import torch
from torch.nn import functional
from engine import QuantSim, Recipe, load_data, load_model
from engine.ptq import apply_steps
from engine.sim.trainable import QuantModule

model = load_model({model!r})
data = load_data({data!r}).bind(model.inputs)
sim = QuantSim(model, Recipe.from_yaml('''{recipe}'''))
apply_steps(sim, data)         # the recipe's steps: batch norms folded, and so on
sim.calibrate(data.take(range(min(256, len(data)))))
module = QuantModule(sim)      # a torch.nn.Module: weights and ranges are its parameters
output = module.output_names[0]

optimizer = torch.optim.AdamW(module.groups(learning_rate=1e-3, range_rate=1e-3))
for epoch in range({epochs}):
    for start in range(0, len(data), 128):
        batch = {{name: torch.from_numpy(x) for name, x in data.batch(start, start + 128).items()}}
        labels = torch.from_numpy(data.labels[start:start + 128])
        loss = functional.cross_entropy(module.run(batch)[output], labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

module.commit(sim)             # weights and encodings go back: what is evaluated and exported is what was trained
print(sim.run(data.batch(0, 8))[output])
"""


def example(project: Any, recipe: str, epochs: int = 4) -> str:
    """Python with `QuantModule`, the loop open to the reader. `recipe` is without the step that trains."""
    data = project.training or project.calibration or Path("training.npz")
    text = recipe.strip().replace("\\", "\\\\").replace("'''", "\\'\\'\\'")
    return EXAMPLE.format(model=_short(project.model), data=_short(data), recipe=text + "\n", epochs=epochs)


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
