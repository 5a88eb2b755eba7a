import subprocess
import sys

import cv2
import numpy as np
import pydicom
import pytest
from PIL import Image

from synthworth.images import ImageError, decode, fit_image, perceptual_hash

RAMP = np.arange(40 * 60, dtype=np.uint16).reshape(40, 60)
GREY = (RAMP // 10).astype(np.uint8)
COLOUR = np.stack([GREY, GREY // 2, 255 - GREY], -1)
SECRET = "Mustermann^Erika"


def write_dicom(path, pixels, bits=12, photometric="MONOCHROME2", **elements):
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    dataset.PatientName = SECRET
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = pixels.itemsize * 8, bits, bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    for name, value in elements.items():
        setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_eight_bits_keep_their_values(tmp_path, suffix):
    Image.fromarray(GREY).save(tmp_path / f"grey.{suffix}")
    Image.fromarray(COLOUR).save(tmp_path / f"colour.{suffix}")
    assert np.array_equal(decode(tmp_path / f"grey.{suffix}"), GREY)
    assert np.array_equal(decode(tmp_path / f"colour.{suffix}"), COLOUR)


def test_jpeg(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.jpg", quality=95)
    assert np.abs(decode(tmp_path / "a.jpg").astype(int) - GREY).max() <= 6


def test_grey_stored_as_rgb_is_grey(tmp_path):
    Image.fromarray(GREY).convert("RGB").save(tmp_path / "a.png")
    assert np.array_equal(decode(tmp_path / "a.png"), GREY)


@pytest.mark.parametrize("name", ["twelve.png", "twelve.tif"])
def test_twelve_bits_in_a_16_bit_file_are_not_blackened(tmp_path, name):
    Image.fromarray(RAMP + 100).save(tmp_path / name)
    expected = np.round(RAMP / RAMP.max() * 255)
    assert np.array_equal(decode(tmp_path / name), expected)


@pytest.mark.parametrize("name", ["deep.png", "deep.tif"])
def test_twelve_bits_in_16_bit_colour_are_not_blackened(tmp_path, name):
    colour = np.stack([RAMP, RAMP // 2, RAMP // 3], -1)
    cv2.imwrite(str(tmp_path / name), colour[..., ::-1])
    assert np.array_equal(decode(tmp_path / name), np.round(colour / RAMP.max() * 255))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_float_tiff(tmp_path, kind):
    cv2.imwrite(str(tmp_path / "a.tif"), (RAMP / RAMP.max() - 0.5).astype(kind))
    assert np.abs(decode(tmp_path / "a.tif") - RAMP / RAMP.max() * 255).max() <= 0.501


def test_white_is_zero_tiff_of_16_bits_is_inverted(tmp_path):
    Image.fromarray(RAMP).save(tmp_path / "a.tif", tiffinfo={262: 0})
    shown = decode(tmp_path / "a.tif")
    assert shown[0, 0] == 255
    assert shown[-1, -1] == 0


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "deep.tif"])
@pytest.mark.parametrize(("orientation", "turns"), [(3, 2), (6, -1), (8, 1)])
def test_exif_rotation_is_applied(tmp_path, name, orientation, turns):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(RAMP if "deep" in name else GREY).save(tmp_path / name, exif=exif)
    shown = decode(tmp_path / name)
    expected = np.rot90(RAMP / RAMP.max() * 255 if "deep" in name else GREY, turns)
    assert shown.shape == expected.shape
    assert np.abs(shown.astype(int) - expected).max() <= 8


def test_palette_is_expanded(tmp_path):
    picture = Image.fromarray(np.tile(np.arange(16, dtype=np.uint8), (16, 1)))
    picture.putpalette([value for index in range(256) for value in (255 - index, index, 0)])
    picture.save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png")[0, 3].tolist() == [252, 3, 0]


def test_transparent_is_black_and_opaque_is_kept(tmp_path):
    alpha = np.full(GREY.shape, 255, np.uint8)
    Image.fromarray(np.dstack([COLOUR, alpha])).save(tmp_path / "opaque.png")
    assert np.array_equal(decode(tmp_path / "opaque.png"), COLOUR)
    alpha[:, :30] = 0
    Image.fromarray(np.dstack([COLOUR, alpha])).save(tmp_path / "half.png")
    shown = decode(tmp_path / "half.png")
    assert not shown[:, :30].any()
    assert np.array_equal(shown[:, 30:], COLOUR[:, 30:])


def test_dicom_monochrome1_is_inverted(tmp_path):
    plain = decode(write_dicom(tmp_path / "2.dcm", RAMP))
    inverted = decode(write_dicom(tmp_path / "1.dcm", RAMP, photometric="MONOCHROME1"))
    assert np.array_equal(plain, np.round(RAMP / RAMP.max() * 255))
    assert np.abs(inverted.astype(int) - (255 - plain)).max() <= 1


def test_dicom_window_applies_to_rescaled_values(tmp_path):
    # Values -1000 ... 3798 in steps of 2; the window shows 0 (black) to 1000 (white).
    path = write_dicom(
        tmp_path / "a.dcm", RAMP, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=500, WindowWidth=1001
    )
    expected = np.clip((RAMP * 2.0 - 1000) / 1000, 0, 1) * 255
    assert np.abs(decode(path) - expected).max() <= 1


def test_dicom_window_wider_than_the_image_is_kept(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", RAMP, WindowCenter=4096, WindowWidth=8193)
    assert np.abs(decode(path) - RAMP / 8192 * 255).max() <= 1


def test_dicom_negative_slope(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", RAMP, RescaleSlope=-1, RescaleIntercept=4095)
    assert decode(path)[0, 0] == 255
    path = write_dicom(
        tmp_path / "b.dcm", RAMP, RescaleSlope=-1, RescaleIntercept=4095, WindowCenter=3000, WindowWidth=500
    )
    assert decode(path)[0, 0] == 255


def test_dicom_lookup_table(tmp_path):
    table = pydicom.Dataset()
    table.LUTDescriptor = [3000, 0, 10]
    table.LUTData = (np.arange(3000) % 1024).tolist()
    table["LUTData"].VR = "US"
    assert np.array_equal(
        decode(write_dicom(tmp_path / "a.dcm", RAMP, VOILUTSequence=[table])), np.round(RAMP % 1024 / 1023 * 255)
    )


def test_dicom_signed_and_padding(tmp_path):
    signed = (RAMP.astype(np.int16) - 1200) * 13
    signed[0, :5] = -32768
    path = write_dicom(tmp_path / "a.dcm", signed, bits=16, PixelPaddingValue=-32768)
    expected = np.clip((signed.astype(float) - signed[0, 5]) / (signed.max() - float(signed[0, 5])), 0, 1) * 255
    assert np.abs(decode(path) - expected).max() <= 0.501


def test_dicom_of_8_bits_and_colour(tmp_path):
    assert np.array_equal(decode(write_dicom(tmp_path / "g.dcm", GREY // 2, bits=8)), GREY // 2)
    assert np.array_equal(decode(write_dicom(tmp_path / "c.dcm", COLOUR, bits=8, photometric="RGB")), COLOUR)


def test_dicom_is_known_without_suffix_and_names_no_patient(tmp_path):
    path = write_dicom(tmp_path / "IM0001", RAMP, NumberOfFrames=2)
    with pytest.raises(ImageError, match="2 frames.*; save the one") as error:
        decode(path)
    assert SECRET not in str(error.value)


def test_10_000_pixels_decode_in_bounded_memory(tmp_path):
    path = tmp_path / "large.tif"
    pixels = np.zeros((10_000, 10_000), np.uint16)
    pixels[5_000:] = 4095
    Image.fromarray(pixels).save(path)
    del pixels
    code = (
        "import resource, sys, warnings; warnings.simplefilter('error')\n"
        "from synthworth.images import ImageError, decode, fit_image\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "image = decode(sys.argv[1])\n"
        "small = fit_image(image, 16, 'stretch', 1)\n"
        "print(image.shape, small[0, 0, 0], small[-1, -1, 0])\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    environment = {"PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", code, path], env=environment, capture_output=True, text=True, check=True
    )
    shown, megabytes = run.stdout.splitlines()
    assert shown == "(10000, 10000) 0 255"
    assert int(megabytes) < 1000


def bad_files():
    def save(array, **keywords):
        return lambda path: Image.fromarray(array).save(path, **keywords)

    def cut(path):
        noise = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[:2000])

    def cut_dicom(path):
        write_dicom(path, RAMP)
        path.write_bytes(path.read_bytes()[:-1000])

    nan = RAMP.astype(np.float32)
    nan[3, 3] = np.nan
    pages = [Image.fromarray(GREY), Image.fromarray(GREY)]
    return {
        "cut.png": (cut, "truncated or damaged file.*; copy it again"),
        "cut.jpg": (cut, "truncated or damaged file.*; copy it again"),
        "cut.tif": (cut, "truncated or damaged file.*; copy it again"),
        "cut.dcm": (cut_dicom, "truncated or damaged DICOM.*; export it again"),
        "text.png": (lambda path: path.write_text("no picture"), "no image that can be read; give PNG"),
        "empty.png": (lambda path: path.write_bytes(b""), "no image that can be read; give PNG"),
        "text.dcm": (lambda path: path.write_text("no picture" * 50), "DICOM.*; export"),
        "nan.tif": (lambda path: cv2.imwrite(str(path), nan), "NaN or infinite; export"),
        "black.png": (save(np.zeros((20, 20), np.uint8)), "constant image.*; export it again"),
        "black.dcm": (lambda path: write_dicom(path, RAMP * 0), "constant image.*; export it again"),
        "pixel.png": (save(np.zeros((1, 1), np.uint8)), "only 1 x 1 pixels; give the image in its full size"),
        "pages.tif": (lambda path: pages[0].save(path, save_all=True, append_images=pages[1:]), "2 frames.*; save"),
        "deep.dcm": (lambda path: write_dicom(path, RAMP.astype(np.uint32), bits=32), "32 bits per pixel; export"),
        "window.dcm": (lambda path: write_dicom(path, RAMP, WindowCenter=1, WindowWidth=0), "Window Width.*; export"),
    }


@pytest.mark.parametrize("name", bad_files())
def test_what_cannot_be_read_right_says_what_and_what_to_do(tmp_path, name):
    make, message = bad_files()[name]
    make(tmp_path / name)
    with pytest.raises(ImageError, match=message):
        decode(tmp_path / name)


def test_compression_without_a_decoder_names_the_way_out(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", RAMP)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEGLSLossless
    dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xd9"])
    dataset.save_as(path)
    with pytest.raises(ImageError, match="JPEG-LS.*; decompress the file first"):
        decode(path)


def test_fit():
    wide = np.zeros((40, 80), np.uint8)
    wide[:, 40:] = 200
    stretched = fit_image(wide, 20, "stretch", 1)
    padded = fit_image(wide, 20, "pad", 3)
    cropped = fit_image(wide, 20, "crop", 1)
    assert stretched.shape == cropped.shape == (20, 20, 1)
    assert padded.shape == (20, 20, 3)
    assert stretched.dtype == padded.dtype == np.uint8
    assert (stretched[:, -1] == 200).all()
    assert not padded[:4].any()
    assert not padded[-4:].any()
    assert (padded[6:14, -1] == 200).all()
    assert (cropped[0, :8] == 0).all()
    assert (cropped[0, -8:] == 200).all()
    assert fit_image(np.full((8, 2000), 9, np.uint8), 64, "pad", 1).shape == (64, 64, 1)
    with pytest.raises(ValueError, match="stretch, pad or crop"):
        fit_image(wide, 20, "zoom", 1)


def test_fit_of_colours_and_no_aliasing():
    colours = np.zeros((32, 32, 3), np.uint8)
    colours[..., 1] = 255
    assert (fit_image(colours, 16, "stretch", 1) == 150).all()
    # Stripes of one pixel, reduced 7.5 times: an even grey, where a filter of fixed width would show a moire.
    stripes = np.tile(np.array([0, 255], np.uint8), (120, 60))
    inner = fit_image(stripes, 16, "stretch", 1)[:, 1:-1]
    assert np.ptp(inner) <= 6


def test_perceptual_hash():
    generator = np.random.default_rng(1)
    first, second = (cv2.resize(generator.integers(0, 255, (8, 8), np.uint8), (300, 240)) for _ in range(2))
    assert len(perceptual_hash(first)) == 64
    assert perceptual_hash(np.stack([first] * 3, -1)) == perceptual_hash(first)
    small = fit_image(first, 128, "stretch", 1)[..., 0]

    def distance(a, b):
        return (int(perceptual_hash(a), 16) ^ int(perceptual_hash(b), 16)).bit_count()

    assert distance(first, small) <= 24
    assert distance(first, second) > 60
