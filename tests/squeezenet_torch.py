"""torchvision's SqueezeNets for the tests: the names and shapes of their parameters, and the nets in PyTorch."""

import numpy as np

from tests.goldens import make_torch_logits as goldens

WIDTH, CLASSES = 16, 4
# torchvision: the first convolution, and the place of each fire module in `features` with what goes in, at width 64.
STEM = {"1.0": (96, 7), "1.1": (64, 3)}
FIRES = {
    "1.0": {3: 96, 4: 128, 5: 128, 7: 256, 8: 256, 9: 384, 10: 384, 12: 512},
    "1.1": {3: 64, 4: 128, 6: 128, 7: 256, 9: 256, 10: 384, 11: 384, 12: 512},
}
POOLED = {"1.0": (2, 6, 11), "1.1": (2, 5, 8)}
TABLE = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
# Logits of two images from PyTorch 2.13.0 by (form, side); 1.0 meets a cut-off window at 64 and 97, 1.1 at 67 and 97.
RECORDED = {
    ("1.0", 64): [[0.27284, 0.02542, 0.22572, 0.79645], [0.03087, 0.06744, 0.19036, 0.22102]],
    ("1.0", 67): [[0.23005, 0.0, 0.15797, 0.83695], [0.0189, 0.08041, 0.17817, 0.23646]],
    ("1.0", 97): [[0.06206, 0.0, 0.06424, 1.04971], [0.03194, 0.02759, 0.10974, 0.30224]],
    ("1.1", 64): [[1.65889, 0.58005, 2.95891, 0.02424], [1.09142, 0.61653, 1.96784, 0.0]],
    ("1.1", 67): [[1.66699, 0.63058, 3.12305, 0.03015], [1.09345, 0.54842, 2.20994, 0.08041]],
    ("1.1", 97): [[1.67241, 0.49794, 3.39418, 0.05674], [1.07182, 0.44168, 2.30369, 0.03136]],
}


def shapes(form, width=WIDTH, classes=CLASSES):
    """Parameter name -> shape, in PyTorch's order of axes."""

    def conv(name, inputs, filters, kernel):
        return {f"{name}.weight": (filters, inputs, kernel, kernel), f"{name}.bias": (filters,)}

    filters, kernel = STEM[form]
    found = conv("features.0", 3, filters * width // 64, kernel)
    for (place, inputs), row in zip(FIRES[form].items(), TABLE, strict=True):
        inputs, (squeezed, expanded) = inputs * width // 64, (n * width // 64 for n in row)
        found |= conv(f"features.{place}.squeeze", inputs, squeezed, 1)
        found |= conv(f"features.{place}.expand1x1", squeezed, expanded, 1)
        found |= conv(f"features.{place}.expand3x3", squeezed, expanded, 3)
    return found | conv("classifier.1", 8 * width, classes, 1)


def draw_state(form, **facts):
    """Drawn weights, the biases of the class maps a little larger: the ReLU above them is not to hide them all."""
    drawn = goldens.draw_state(shapes(form, **facts))
    return {**drawn, "classifier.1.bias": drawn["classifier.1.bias"] + np.float32(0.5)}


def images(side):
    """Two that differ in brightness and contrast too."""
    drawn = goldens.draw_images(side)
    return np.stack([drawn[0], 0.3 * drawn[1] + 0.5])


def torch_net(form, width=WIDTH, classes=CLASSES):
    """torchvision's layout, written from its known names."""
    import torch
    from torch import nn

    class Fire(nn.Module):
        def __init__(self, inputs, squeezed, expanded):
            super().__init__()
            self.squeeze = nn.Conv2d(inputs, squeezed, 1)
            self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
            self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

        def forward(self, x):
            x = torch.relu(self.squeeze(x))
            return torch.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], 1))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            filters, kernel = STEM[form]
            parts = {0: nn.Conv2d(3, filters * width // 64, kernel, 2), 1: nn.ReLU()}
            parts |= {place: nn.MaxPool2d(3, 2, ceil_mode=True) for place in POOLED[form]}
            for (place, inputs), row in zip(FIRES[form].items(), TABLE, strict=True):
                parts[place] = Fire(*(n * width // 64 for n in (inputs, *row)))
            self.features = nn.Sequential(*(parts[i] for i in range(13)))
            head = nn.Conv2d(8 * width, classes, 1)
            self.classifier = nn.Sequential(nn.Dropout(0.5), head, nn.ReLU(), nn.AdaptiveAvgPool2d(1))

        def forward(self, x):
            return self.classifier(self.features(x)).flatten(1)

    return Net().eval()


def torch_logits(form, side):
    """(2, classes): what the module above gives for the drawn images."""
    import torch

    net = torch_net(form)
    net.load_state_dict({name: torch.from_numpy(value) for name, value in draw_state(form).items()}, strict=True)
    with torch.no_grad():
        return net(torch.from_numpy(images(side)).permute(0, 3, 1, 2)).numpy()
