"""The NYU net for the tests: names and shapes of its parameters, and the nets in PyTorch, written from its facts."""

from mammo_tf.models import nyu_resnet22
from tests.goldens import make_torch_logits as goldens

STRIDES = (1, 2, 2, 2, 2)


def resnet_shapes(prefix, width, channels):
    found = {f"{prefix}first_conv.weight": (width, channels, 7, 7)}
    inputs = width
    for s in range(5):
        filters = width * 2**s
        for b in range(2):
            name = f"{prefix}layer_list.{s}.{b}."
            found |= bn_shapes(f"{name}bn1", inputs) | bn_shapes(f"{name}bn2", filters)
            found[f"{name}conv1.weight"] = (filters, inputs, 3, 3)
            found[f"{name}conv2.weight"] = (filters, filters, 3, 3)
            if b == 0:
                found[f"{name}downsample.0.weight"] = (filters, inputs, 1, 1)
            inputs = filters
    return found | bn_shapes(f"{prefix}final_bn", inputs)


def bn_shapes(name, channels):
    return {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}


def dense_shapes(name, inputs, outputs):
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def shapes(kind, width=4, channels=1):
    """Parameter name -> shape of the state dict of an exam: "view_wise" or "image_wise"."""
    found = {}
    for projection in nyu_resnet22.PROJECTIONS:
        found |= resnet_shapes(f"four_view_resnet.{projection}.", width, channels)
    names = nyu_resnet22.PROJECTIONS if kind == "view_wise" else nyu_resnet22.VIEWS
    units = 32 * width if kind == "view_wise" else 16 * width
    for name in names:
        found |= dense_shapes(f"fc1_{name}", units, units)
        found |= dense_shapes(f"output_layer_{name}.fc_layer", units, 8)
    return found


def draw_state(kind, **facts):
    return goldens.draw_state(shapes(kind, **facts))


def torch_resnet(width=4, channels=1):
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self, inputs, filters, stride, first):
            super().__init__()
            self.bn1, self.bn2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(filters)
            self.conv1 = nn.Conv2d(inputs, filters, 3, stride, 1, bias=False)
            self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
            self.downsample = nn.Sequential(nn.Conv2d(inputs, filters, 1, stride, bias=False)) if first else None

        def forward(self, x):
            active = torch.relu(self.bn1(x))
            shortcut = x if self.downsample is None else self.downsample(active)
            return self.conv2(torch.relu(self.bn2(self.conv1(active)))) + shortcut

    class ResNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.first_conv = nn.Conv2d(channels, width, 7, 2, 0, bias=False)
            sizes = [width, *(width * 2**s for s in range(5))]
            self.layer_list = nn.ModuleList(
                nn.Sequential(
                    Block(sizes[s], sizes[s + 1], STRIDES[s], True), Block(sizes[s + 1], sizes[s + 1], 1, False)
                )
                for s in range(5)
            )
            self.final_bn = nn.BatchNorm2d(sizes[-1])

        def forward(self, x):
            x = nn.functional.max_pool2d(self.first_conv(x), 3, 2)
            for stage in self.layer_list:
                x = stage(x)
            return torch.relu(self.final_bn(x)).mean(dim=(2, 3))

    return ResNet()


def torch_vectors(state, views, width=4, channels=1):
    """View -> (N, 16 width), in evaluation mode; views are (N, H, W, C)."""
    import torch

    found = {}
    for projection in nyu_resnet22.PROJECTIONS:
        net = torch_resnet(width, channels).eval()
        prefix = f"four_view_resnet.{projection}."
        mine = {
            name.removeprefix(prefix): torch.from_numpy(v) for name, v in state.items() if name.startswith(prefix)
        }
        missing, extra = net.load_state_dict(mine, strict=False)
        assert not extra and all(name.endswith("num_batches_tracked") for name in missing)
        with torch.no_grad():
            for side in "lr":
                image = torch.from_numpy(views[f"{side}{projection}"].transpose(0, 3, 1, 2).copy())
                found[f"{side}{projection}"] = net(image).numpy()
    return found
