import keras
import numpy as np
import pytest

from mammo_tf import cases
from mammo_tf.models import googlenet, googlenet_weights
from tests.goldens import make_torch_logits as goldens

WIDTH, CLASSES = 8, 2
# Logits (main, aux1, aux2) of two images, from PyTorch 2.13.0 and the net at the end of this file.
RECORDED = {
    64: [
        [[-2.41578, -0.55595], [-3.46112, -0.58978]],
        [[2.90804, -0.57018], [3.54036, -0.96504]],
        [[1.7297, -0.44218], [1.90939, 0.55248]],
    ],
    97: [
        [[-3.49224, -0.47803], [-4.77107, -0.44856]],
        [[3.07172, -0.5556], [4.05286, -0.91423]],
        [[1.77094, -0.60796], [2.23546, 0.07433]],
    ],
}


def build(side=64, auxiliary=True, **arguments):
    x = keras.Input((side, side, 3))
    net = googlenet.googlenet_with_auxiliaries if auxiliary else googlenet.googlenet
    facts = {"width": WIDTH, "classes": CLASSES, "variant": googlenet.TORCHVISION}
    return keras.Model(x, net(x, **{**facts, **arguments}))


# Module: inputs, and torchvision's filters of the four branches, at width 64.
TABLE = {
    "inception3a": (192, 64, (96, 128), (16, 32), 32),
    "inception3b": (256, 128, (128, 192), (32, 96), 64),
    "inception4a": (480, 192, (96, 208), (16, 48), 64),
    "inception4b": (512, 160, (112, 224), (24, 64), 64),
    "inception4c": (512, 128, (128, 256), (24, 64), 64),
    "inception4d": (512, 112, (144, 288), (32, 64), 64),
    "inception4e": (528, 256, (160, 320), (32, 128), 128),
    "inception5a": (832, 256, (160, 320), (32, 128), 128),
    "inception5b": (832, 384, (192, 384), (48, 128), 128),
}


def convolutions():
    """torchvision's name -> (inputs, filters, kernel) at width 64."""
    found = {"conv1": (3, 64, 7), "conv2": (64, 64, 1), "conv3": (64, 192, 3)}
    for module, (inputs, one, two, three, four) in TABLE.items():
        found[f"{module}.branch1"] = (inputs, one, 1)
        for branch, (reduced, filters) in (("branch2", two), ("branch3", three)):
            found[f"{module}.{branch}.0"] = (inputs, reduced, 1)
            found[f"{module}.{branch}.1"] = (reduced, filters, 3)
        found[f"{module}.branch4.1"] = (inputs, four, 1)
    return found | {"aux1.conv": (512, 128, 1), "aux2.conv": (528, 128, 1)}


def shapes(width=WIDTH, classes=CLASSES):
    """Parameter name -> shape, in PyTorch's order of axes."""
    found = {}
    for name, (inputs, filters, kernel) in convolutions().items():
        inputs, filters = inputs if name == "conv1" else inputs * width // 64, filters * width // 64
        found[f"{name}.conv.weight"] = (filters, inputs, kernel, kernel)
        found |= {f"{name}.bn.{part}": (filters,) for part in ("weight", "bias", "running_mean", "running_var")}
        found[f"{name}.bn.num_batches_tracked"] = ()
    for name in ("aux1", "aux2"):
        found |= {f"{name}.fc1.weight": (16 * width, 32 * width), f"{name}.fc1.bias": (16 * width,)}
        found |= {f"{name}.fc2.weight": (classes, 16 * width), f"{name}.fc2.bias": (classes,)}
    return found | {"fc.weight": (classes, 16 * width), "fc.bias": (classes,)}


def draw_state(**facts):
    """Drawn weights, batch norms a little larger: these modules do not add up, and the images' part must not fade."""
    drawn = goldens.draw_state(shapes(**facts))
    return {name: value * np.float32(1.2 if name.endswith("bn.weight") else 1) for name, value in drawn.items()}


@pytest.fixture(scope="module")
def state():
    return draw_state()


@pytest.fixture(scope="module")
def model():
    return build()


def images(side):
    """Two that differ in brightness and contrast too."""
    drawn = goldens.draw_images(side)
    return np.stack([drawn[0], 0.3 * drawn[1] + 0.5])


def our_logits(state, side):
    model = build(side)
    googlenet_weights.load_googlenet(model, state, head=True)
    return np.array([np.asarray(logits) for logits in model(images(side))])


def test_the_full_net_has_torchvisions_parameters():
    full = shapes(64, 1000)
    learned = {name: shape for name, shape in full.items() if not name.endswith(("mean", "var", "tracked"))}
    assert sum(int(np.prod(shape)) for shape in learned.values()) == 13_004_888
    main = {name: shape for name, shape in learned.items() if not name.startswith("aux")}
    assert sum(int(np.prod(shape)) for shape in main.values()) == 6_624_904
    assert len(full) == 6 * 59 + 10  # 57 + 2 convolutions with batch norm, 5 fully connected layers


@pytest.mark.parametrize("side", [64, 97])
def test_logits_equal_those_recorded_from_pytorch(state, side):
    recorded = np.array(RECORDED[side])
    assert np.abs(recorded[:, 0] - recorded[:, 1]).max(axis=-1).min() > 0.1  # the images matter
    np.testing.assert_allclose(our_logits(state, side), recorded, atol=1e-4)


@pytest.mark.parametrize("side", [64, 97])
def test_logits_equal_those_of_pytorch_itself(state, side):
    pytest.importorskip("torch")
    found = torch_logits(state, side)
    np.testing.assert_allclose(found, RECORDED[side], atol=1e-4)
    np.testing.assert_allclose(our_logits(state, side), found, atol=1e-4)


def test_torchs_own_layout_has_these_shapes():
    pytest.importorskip("torch")
    assert {name: tuple(value.shape) for name, value in torch_net(64, 1000).state_dict().items()} == shapes(64, 1000)


def test_each_tensor_goes_to_its_place(state, model):
    googlenet_weights.load_googlenet(model, state, head=True)
    kernel = model.get_layer("inception4c_branch3_conv2").kernel.numpy()
    assert kernel[0, 2, 1, 3] == state["inception4c.branch3.1.conv.weight"][3, 1, 0, 2]
    norm = model.get_layer("inception5b_branch4_bn1")
    np.testing.assert_array_equal(norm.moving_variance, state["inception5b.branch4.1.bn.running_var"])
    row, column, channel = 2, 1, 5  # PyTorch flattens channels first
    fc1 = model.get_layer("aux2_fc1").kernel.numpy()
    taken = state["aux2.fc1.weight"][7, channel * 16 + row * 4 + column]
    assert fc1[(row * 4 + column) * 2 * WIDTH + channel, 7] == taken


def test_without_auxiliary_classifiers_the_files_are_left_alone(state, model):
    alone = build(auxiliary=False)
    googlenet_weights.load_googlenet(alone, state, head=True)
    googlenet_weights.load_googlenet(model, state, head=True)
    np.testing.assert_allclose(alone(images(64)), model(images(64))[0], atol=1e-6)


def test_the_heads_may_stay_as_they_are(state):
    model = build(seed=5)
    heads = ("logits", "aux1_logits", "aux2_logits")
    start = {name: model.get_layer(name).kernel.numpy() for name in heads}
    googlenet_weights.load_googlenet(model, draw_state(classes=1000), head=False)
    assert all(np.array_equal(start[name], model.get_layer(name).kernel) for name in heads)
    googlenet_weights.load_googlenet(model, state, head=False)
    np.testing.assert_array_equal(model.get_layer("aux1_fc1").bias, state["aux1.fc1.bias"])
    np.testing.assert_array_equal(model.get_layer("stem_bn1").gamma, state["conv1.bn.weight"])


def test_missing_and_unexpected_names_are_listed_and_nothing_is_loaded(state, model):
    before = model.get_weights()
    changed = {name: value for name, value in state.items() if name != "inception3a.branch4.1.bn.running_mean"}
    changed["inception6a.branch1.conv.weight"] = np.zeros(3)
    with pytest.raises(cases.MammoError, match=r"missing inception3a\.branch4\.1\.bn\.run.*; unexpected inception6a"):
        googlenet_weights.load_googlenet(model, changed, head=True)
    without = {name: value for name, value in state.items() if not name.startswith("aux2.")}
    with pytest.raises(cases.MammoError, match=r"missing aux2\.conv\.bn\.bias.*unexpected none"):
        googlenet_weights.load_googlenet(model, without, head=True)
    with pytest.raises(cases.MammoError, match=r"aux1\.fc2\.bias -> aux1_logits.*\(3,\), the net \(2,\)"):
        googlenet_weights.load_googlenet(model, {**state, "aux1.fc2.bias": np.zeros(3, "float32")}, head=True)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_the_papers_form_is_refused(state):
    with pytest.raises(
        cases.MammoError, match="of the form TORCHVISION: the net has no layer inception3a_branch1_bn1"
    ):
        googlenet_weights.load_googlenet(build(auxiliary=False, variant=googlenet.PAPER), state, head=True)


def torch_net(width, classes):
    """torchvision's layout, written from its known names: a module whose outputs are (main, aux1, aux2)."""
    import torch
    from torch import nn

    def scaled(n):
        return n if n == 3 else n * width // 64

    class BasicConv(nn.Module):
        def __init__(self, inputs, filters, kernel, stride=1):
            super().__init__()
            inputs, filters = scaled(inputs), scaled(filters)
            self.conv = nn.Conv2d(inputs, filters, kernel, stride, kernel // 2, bias=False)
            self.bn = nn.BatchNorm2d(filters, eps=0.001)

        def forward(self, x):
            return torch.relu(self.bn(self.conv(x)))

    class Inception(nn.Module):
        def __init__(self, inputs, one, two, three, four):
            super().__init__()
            self.branch1 = BasicConv(inputs, one, 1)
            self.branch2 = nn.Sequential(BasicConv(inputs, two[0], 1), BasicConv(*two, 3))
            self.branch3 = nn.Sequential(BasicConv(inputs, three[0], 1), BasicConv(*three, 3))
            self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1, ceil_mode=True), BasicConv(inputs, four, 1))

        def forward(self, x):
            return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)

    class Auxiliary(nn.Module):
        def __init__(self, inputs):
            super().__init__()
            self.conv = BasicConv(inputs, 128, 1)
            self.fc1 = nn.Linear(scaled(2048), scaled(1024))
            self.fc2 = nn.Linear(scaled(1024), classes)

        def forward(self, x):
            x = self.conv(nn.functional.adaptive_avg_pool2d(x, 4)).flatten(1)
            return self.fc2(torch.relu(self.fc1(x)))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = BasicConv(3, 64, 7, 2)
            self.conv2 = BasicConv(64, 64, 1)
            self.conv3 = BasicConv(64, 192, 3)
            for name, row in TABLE.items():
                setattr(self, name, Inception(*row))
            self.aux1, self.aux2 = Auxiliary(512), Auxiliary(528)
            self.fc = nn.Linear(scaled(1024), classes)

        def forward(self, x):
            def pool(x, size=3):
                return nn.functional.max_pool2d(x, size, 2, ceil_mode=True)

            x = pool(self.conv3(self.conv2(pool(self.conv1(x)))))
            x = pool(self.inception3b(self.inception3a(x)))
            x = self.inception4a(x)
            aux1 = self.aux1(x)
            x = self.inception4d(self.inception4c(self.inception4b(x)))
            aux2 = self.aux2(x)
            x = pool(self.inception4e(x), 2)
            x = self.inception5b(self.inception5a(x))
            return self.fc(x.mean((2, 3))), aux1, aux2

    return Net().eval()


def torch_logits(state, side):
    """(3, 2, classes): what the module above gives for the drawn images."""
    import torch

    net = torch_net(WIDTH, CLASSES)
    net.load_state_dict({name: torch.from_numpy(np.asarray(value)) for name, value in state.items()}, strict=True)
    with torch.no_grad():
        logits = net(torch.from_numpy(images(side)).permute(0, 3, 1, 2))
    return np.array([one.numpy() for one in logits])
