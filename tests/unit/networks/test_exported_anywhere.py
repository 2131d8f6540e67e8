"""Programs that were exported in another precision, on a GPU, or for other batches run here, or say what to do."""

import io
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

import segcert
from segcert.networks.exported import load_exported
from segcert.networks.folders import ModelError
from segcert.networks.pretrained import import_pretrained
from segcert.networks.registry import load_segmenter
from segcert.networks.runtime import rounding_of

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
DATA = {
    "preprocessing": {},
    "classes": ["background", "lung"],
    "in_channels": 1,
    "image_size": 16,
}
IMAGE = np.random.default_rng(0).random((1, 16, 16), np.float32)


class Net(nn.Module):
    """A network that creates a tensor on the device of its images, and has a constant."""

    def __init__(self):
        super().__init__()
        self.inner, self.shift = nn.Conv2d(1, 2, 3, padding=1), torch.tensor([0.125])

    def forward(self, x):
        ramp = torch.arange(16, device=x.device, dtype=x.dtype) / 64
        return self.inner(x) + ramp + self.shift.to(x.dtype)


class OnGpu(nn.Module):
    """A network that creates a tensor on a GPU, as tracing on a GPU writes it."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Conv2d(1, 2, 1)

    def forward(self, x):
        return self.inner(x) + torch.ones([1], device=torch.device("cuda:0"))


class Outer(nn.Module):
    def __init__(self):
        super().__init__()
        self.part = OnGpu()

    def forward(self, x):
        return self.part(x) * 2.0


def network():
    torch.manual_seed(0)
    return Net().eval()


def save(model, path, number_type=torch.float32, count=4, **options):
    images = torch.rand(count, 1, 16, 16, dtype=number_type)
    if path.suffix == ".pt2":
        torch.export.save(torch.export.export(model, (images,), **options), path)
    else:
        torch.jit.trace(model, images).save(path)
    return path


@pytest.mark.parametrize("suffix", [".pt", ".pt2"])
@pytest.mark.parametrize("number_type", [torch.float16, torch.bfloat16, torch.float64])
def test_a_program_in_another_precision_gets_its_own_type_of_number(tmp_path, suffix, number_type):
    model = network().to(number_type)
    path = save(model, tmp_path / f"program{suffix}", number_type)
    import_pretrained(path, tmp_path / "model", **DATA)
    program, _ = load_segmenter(tmp_path / "model")
    x = torch.rand(6, 1, 16, 16)
    logits = program(x)
    assert logits.dtype == (torch.float64 if number_type == torch.float64 else torch.float32)
    assert torch.equal(logits[:4], model(x[:4].to(number_type)).to(logits.dtype))
    assert rounding_of(program) == ("float32" if number_type == torch.float64 else "bfloat16")
    votes = segcert.SmoothedSegmenter(program, 0.25, 2, batch_size=8).sample(IMAGE, 4, 20)
    assert votes.estimation.sum() == 20 * 256


def as_if_exported_on_a_gpu(path):
    """Change the archive of a program as if it had been exported on a GPU."""
    content = io.BytesIO(path.read_bytes())
    with zipfile.ZipFile(content) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            member = old.read(name)
            if name.endswith(".json"):
                text = member.decode().replace('"type": "cpu", "index": null', '"type": "cuda", "index": 0')
                assert '"cuda"' in text or "cpu" not in text
                member = text.encode()
            new.writestr(name, member)


def test_a_program_that_was_exported_on_a_gpu_runs_on_the_cpu(tmp_path):
    model = network()
    path = save(model, tmp_path / "program.pt2")
    as_if_exported_on_a_gpu(path)
    if not torch.cuda.is_available():
        with pytest.raises(Exception, match="CUDA"):
            torch.export.load(path)
    import_pretrained(path, tmp_path / "model", **DATA)
    program, _ = load_segmenter(tmp_path / "model")
    x = torch.rand(4, 1, 16, 16)
    assert torch.equal(program(x), model(x))
    assert program.digest == load_exported(path).digest


def test_a_torchscript_network_that_names_a_gpu_runs_on_the_cpu(tmp_path):
    torch.manual_seed(0)
    model = Outer().eval()
    torch.jit.script(model).save(tmp_path / "program.pt")
    import_pretrained(tmp_path / "program.pt", tmp_path / "model", **DATA)
    program, _ = load_segmenter(tmp_path / "model")
    x = torch.rand(4, 1, 16, 16)
    for _ in range(3):
        torch.testing.assert_close(program(x), (model.part.inner(x) + 1) * 2)
    with pytest.raises(ModelError, match="creates constants on cpu; load the network again to run it on meta"):
        program(x.to("meta"))


@pytest.mark.parametrize("suffix", [".pt", ".pt2"])
def test_the_constants_of_a_program_follow_its_images(tmp_path, suffix):
    """The device `meta` stands for a GPU."""
    program = load_exported(save(network(), tmp_path / f"program{suffix}"))
    if suffix == ".pt2":
        assert program(torch.rand(4, 1, 16, 16, device="meta")).device.type == "meta"
    else:
        program._bind(torch.device("cuda:1"))
        assert "cuda:1" in str(program.program.forward.graph)
        assert "cpu" not in str(program.program.forward.graph)


@pytest.mark.parametrize(("limits", "count"), [((2, 8), 1), ((2, 8), 3), ((2, 8), 8), ((2, 8), 20), ((3, 64), 2)])
def test_batches_outside_a_programs_limits_are_split_or_filled(tmp_path, limits, count):
    model = network()
    shapes = ({0: torch.export.Dim("batch", min=limits[0], max=limits[1])},)
    path = save(model, tmp_path / "program.pt2", count=4, dynamic_shapes=shapes)
    x = torch.rand(count, 1, 16, 16)
    torch.testing.assert_close(load_exported(path)(x), model(x))


def test_a_program_that_divides_by_a_standard_deviation_gets_no_constant_images(tmp_path):
    class ZScores(nn.Module):
        def forward(self, x):
            z = (x - x.mean(dim=(1, 2, 3), keepdim=True)) / x.std(dim=(1, 2, 3), keepdim=True)
            return torch.cat([z, -z], dim=1)

    path = save(ZScores().eval(), tmp_path / "program.pt2", count=4)
    import_pretrained(path, tmp_path / "model", **DATA)
    program, _ = load_segmenter(tmp_path / "model")
    for pixels in (IMAGE, np.zeros_like(IMAGE)):
        votes = segcert.SmoothedSegmenter(program, 0.25, 2, batch_size=5).sample(pixels, 4, 20)
        assert votes.estimation.sum() == 20 * 256


def test_torchs_own_module_of_a_program_is_accepted(tmp_path):
    """It claims to be in train mode, and it refuses `.eval()`."""
    program = torch.export.load(save(network(), tmp_path / "program.pt2", count=8)).module()
    with pytest.raises(NotImplementedError):
        program.eval()
    votes = segcert.SmoothedSegmenter(program, 0.25, 2, batch_size=8).sample(IMAGE, 4, 20)
    assert votes.estimation.sum() == 20 * 256


def test_programs_with_other_inputs_are_refused(tmp_path):
    class Two(nn.Module):
        def forward(self, x, y):
            return x + y

    images = torch.rand(2, 1, 16, 16)
    torch.export.save(torch.export.export(Two(), (images, images)), tmp_path / "two.pt2")
    torch.export.save(torch.export.export(nn.Identity(), (images[0],)), tmp_path / "three.pt2")
    for name in ("two", "three"):
        with pytest.raises(ModelError, match=r"the network takes \d inputs; expected only images, \(B, C, H, W\)"):
            load_exported(tmp_path / f"{name}.pt2")


def test_outputs_of_programs_are_explained(tmp_path):
    class Dict(nn.Module):
        def forward(self, x):
            return {"out": torch.cat([x, -x], 1), "aux": x}

    for count in (1, 3, 4):
        path = save(Dict().eval(), tmp_path / "program.pt2", count=count)
        with pytest.raises(ModelError, match=r"program\.pt2: returns a dict with \['out'\] .*`network\(x\)\['out'\]`"):
            import_pretrained(path, tmp_path / "model", **DATA)
    traced = torch.jit.trace(Dict().eval(), torch.rand(3, 1, 16, 16), strict=False)
    traced.save(tmp_path / "program.pt")
    with pytest.raises(ModelError, match=r"program\.pt: returns a dict with \['out'\] .*`network\(x\)\['out'\]`"):
        import_pretrained(tmp_path / "program.pt", tmp_path / "model", **DATA)
    assert not (tmp_path / "model").exists()
