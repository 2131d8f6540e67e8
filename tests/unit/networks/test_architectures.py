"""The segmentation networks, compared with published numbers and the formulas of their papers."""

import copy
import inspect

import pytest
import torch
import torch.nn.functional as F

from segcert.networks.architectures import ARCHITECTURES
from segcert.networks.deeplabv3plus import DeepLabV3Plus
from segcert.networks.registry import build_segmenter
from segcert.networks.resnet import Projection, ResNet34
from segcert.networks.resunetpp import ResUNetPlusPlus

# With one class and three channels, as segmentation_models_pytorch 0.5 counts its networks.
OF_SMP = {"resunetpp": 26_078_609, "deeplabv3plus": 22_437_457}
PER_CLASS = {"unet": 64 + 1, "resunetpp": 9 * 16 + 1, "deeplabv3plus": 256 + 1}
PER_CHANNEL = {"unet": 64 * 9, "resunetpp": 64 * 49, "deeplabv3plus": 64 * 49}
OF_UNET = 31_036_546 + 2 * 64 * 9 - 65  # three channels, one class (test_registry has one channel, two classes)


@pytest.fixture(autouse=True)
def one_thread():
    """Use one thread: small tensors take longer on many."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def small(architecture, in_channels=1, num_classes=2, width=4):
    torch.manual_seed(0)
    return build_segmenter(architecture, {"in_channels": in_channels, "num_classes": num_classes, "width": width})


@pytest.mark.parametrize("num_classes", [2, 5])
@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize("architecture", PER_CLASS)
def test_networks_have_the_published_number_of_parameters(architecture, in_channels, num_classes):
    with torch.device("meta"):
        model = build_segmenter(architecture, {"in_channels": in_channels, "num_classes": num_classes})
    published = (OF_SMP | {"unet": OF_UNET})[architecture]
    classes, channels = (num_classes - 1) * PER_CLASS[architecture], (in_channels - 3) * PER_CHANNEL[architecture]
    assert count(model) == published + classes + channels


def test_the_encoder_is_resnet34_without_its_classifier():
    """The resnet34 of torchvision has 21,797,672 parameters, with 1000 ImageNet classes on 512 features."""
    assert count(ResNet34(3)) == 21_797_672 - 1000 * (512 + 1)


@pytest.mark.parametrize(("output_stride", "deepest"), [(32, 2), (16, 4)])
def test_features_of_the_encoder(output_stride, deepest):
    images = torch.rand(1, 3, 64, 128)
    features = ResNet34(3, 8, output_stride)(images)
    assert torch.equal(features[0], images)
    sizes = [tuple(feature.shape[1:]) for feature in features[1:]]
    assert sizes == [(8, 32, 64), (8, 16, 32), (16, 8, 16), (32, 4, 8), (64, deepest, 2 * deepest)]


def test_the_dilated_encoder_contains_the_features_of_the_strided_one():
    """If only the centres of its kernels are non-zero, the dilated last stage is a finer strided one."""
    strided, dilated = ResNet34(1, 4).eval(), ResNet34(1, 4, output_stride=16).eval()
    state = strided.state_dict()
    for name, tensor in state.items():
        if name.startswith("layer4") and tensor.shape[2:] == (3, 3):
            tensor.mul_(torch.eye(3)[1].outer(torch.eye(3)[1]))
    dilated.load_state_dict(state)
    images = torch.rand(1, 1, 64, 64)
    torch.testing.assert_close(dilated(images)[-1][:, :, ::2, ::2], strided(images)[-1])


@pytest.mark.parametrize(("channels", "classes", "width"), [(1, 2, 4), (3, 5, 8), (4, 3, 6)])
@pytest.mark.parametrize("architecture", ["resunetpp", "deeplabv3plus"])
def test_logits_have_the_size_of_the_images(architecture, channels, classes, width):
    model = small(architecture, channels, classes, width)
    assert model(torch.rand(2, channels, 64, 96)).shape == (2, classes, 64, 96)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_classes_agree_with_their_descriptions(architecture):
    about = ARCHITECTURES[architecture]
    parameters = inspect.signature(type(small(architecture))).parameters
    assert tuple(parameters) == ("in_channels", "num_classes", *about.arguments)
    smallest = 2 ** (parameters["depth"].default if about.halvings is None else about.halvings)
    model = small(architecture)
    assert model(torch.rand(about.least_batch, 1, smallest, 3 * smallest)).shape[2:] == (smallest, 3 * smallest)
    if about.least_batch > 1:
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            model(torch.rand(about.least_batch - 1, 1, smallest, smallest))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_gradients_reach_every_parameter(architecture):
    torch.use_deterministic_algorithms(True)
    try:
        model = small(architecture, width=8)
        model(torch.rand(2, 1, 64, 64)).square().mean().backward()
    finally:
        torch.use_deterministic_algorithms(False)
    untouched = [name for name, tensor in model.named_parameters() if tensor.grad is None or not tensor.grad.any()]
    assert not untouched


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_in_eval_mode_an_image_does_not_depend_on_its_batch(architecture):
    """There is no dropout, and there are no batch statistics."""
    model = small(architecture).eval()
    images = torch.rand(2, 1, 64, 64)
    others = torch.cat([images[:1], torch.rand(1, 1, 64, 64)])
    assert torch.equal(model(images), model(images))
    torch.testing.assert_close(model(images)[0], model(others)[0])


def test_aspp_drops_out_in_training_only():
    model = small("deeplabv3plus")
    dropped = [module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)]
    assert dropped == [0.5]


def test_unetpp_has_the_nodes_of_its_paper():
    """X^{i,j} = H([X^{i,0}, ..., X^{i,j-1}, U(X^{i+1,j-1})]) (Zhou et al. 2018, eq. 1), i counted from the finest.

    Of L resolutions L (L - 1) / 2 nodes, and one more for the stride at which the ResNet begins.
    """
    model, images = small("resunetpp", 3, 2, 8).eval(), torch.rand(1, 3, 64, 64)
    levels = 5
    blocks = model.decoder.blocks
    assert len(blocks) == levels * (levels - 1) // 2 + 1
    x = {(level, 0): feature for level, feature in enumerate(model.encoder(images)[1:])}
    for j in range(1, levels):
        for i in range(levels - j):
            below = levels - 2 - i  # the decoder counts resolutions from the deepest one, and rows of its nodes from 0
            node = blocks[f"x_{below - j + 1}_{below}"]
            dense = [x[i, k] for k in reversed(range(j))]
            up = F.interpolate(x[i + 1, j - 1], scale_factor=2.0)
            x[i, j] = node.conv2(node.conv1(torch.cat([up, *dense], dim=1)))
    last = blocks["x_0_4"]
    expected = last.conv2(last.conv1(F.interpolate(x[0, levels - 1], scale_factor=2.0)))
    torch.testing.assert_close(model(images), model.segmentation_head(expected))


@pytest.mark.parametrize(("width", "channels"), [(64, [256, 128, 64, 32, 16]), (8, [32, 16, 8, 4, 4])])
def test_channels_of_the_nested_decoder(width, channels):
    with torch.device("meta"):
        blocks = ResUNetPlusPlus(1, 2, width).decoder.blocks
    assert [blocks[f"x_0_{j}"].conv2[0].out_channels for j in range(5)] == channels


def test_aspp_sees_a_whole_large_image():
    """A pixel of the context depends on pixels at all three rates, and on the mean of the whole image."""
    aspp = DeepLabV3Plus(1, 2, 4).eval().decoder.aspp[0]
    features = torch.rand(1, 32, 80, 80, requires_grad=True)
    *pyramid, mean = aspp.convs
    for conv, rate in zip(pyramid, (0, 12, 24, 36), strict=True):
        (gradient,) = torch.autograd.grad(conv(features)[0, :, 40, 40].sum(), features)
        seen = gradient[0].abs().sum(dim=0).nonzero()
        assert seen.min(dim=0).values.tolist() == [40 - rate] * 2
        assert seen.max(dim=0).values.tolist() == [40 + rate] * 2
    assert mean(features).shape == (1, 16, 80, 80)
    assert mean(features).flatten(2).std(dim=2).max() == 0


@pytest.mark.parametrize("architecture", ["resunetpp", "deeplabv3plus"])
def test_tensors_are_named_as_in_smp(architecture):
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in small(architecture, 3, 2, 64).state_dict().items()}
    encoder = {"encoder.conv1.weight": (64, 3, 7, 7), "encoder.layer4.0.downsample.0.weight": (512, 256, 1, 1)}
    decoder = {
        "resunetpp": {
            "decoder.blocks.x_2_2.conv1.0.weight": (64, 128 + 64, 3, 3),
            "decoder.blocks.x_0_4.conv2.1.running_var": (16,),
            "segmentation_head.0.weight": (2, 16, 3, 3),
        },
        "deeplabv3plus": {
            "decoder.aspp.0.convs.4.1.weight": (256, 512, 1, 1),
            "decoder.aspp.0.convs.3.0.0.weight": (512, 1, 3, 3),
            "decoder.aspp.0.project.0.weight": (256, 1280, 1, 1),
            "decoder.aspp.1.1.weight": (256, 256, 1, 1),
            "decoder.aspp.2.num_batches_tracked": (),
            "decoder.block1.0.weight": (48, 64, 1, 1),
            "decoder.block2.0.0.weight": (304, 1, 3, 3),
            "segmentation_head.0.weight": (2, 256, 1, 1),
        },
    }[architecture]
    expected = encoder | decoder
    assert {name: shapes.get(name) for name in expected} == expected
    assert {name.partition(".")[0] for name in shapes} == {"encoder", "decoder", "segmentation_head"}


def test_the_projection_is_a_strided_convolution():
    projection = Projection(4, 8, 1, 2, bias=False)
    x = torch.rand(2, 4, 8, 6, requires_grad=True)
    expected = torch.nn.functional.conv2d(x, projection.weight, stride=2)
    assert torch.equal(projection(x), expected)


@pytest.mark.parametrize("name", ["resunetpp", "deeplabv3plus"])
def test_narrow_networks_have_the_gradients_of_the_plain_layout(name):
    """On a CPU in channels_last, oneDNN's strided 1x1 convolutions with few channels write out of bounds."""
    torch.manual_seed(0)
    plain = build_segmenter(name, {"in_channels": 1, "num_classes": 2, "width": 4}).eval()
    fast = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    x = torch.rand(2, 1, 64, 64)
    plain(x).square().sum().backward()
    fast(x.to(memory_format=torch.channels_last)).square().sum().backward()
    for (key, expected), (_, found) in zip(plain.named_parameters(), fast.named_parameters(), strict=True):
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-3, atol=1e-3 * float(expected.grad.abs().max()))
        assert expected.grad.abs().max() > 0, key
