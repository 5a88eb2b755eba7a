"""Images as the study sees them: any file that a hospital or a data set gives, as 8-bit pixels, grey or RGB.

Files of 8 bits keep their values. Deeper ones are brought to 8 bits by the DICOM window where there is one, else
linearly from the image's own minimum (0) to its maximum (255), so that 12-bit data in a 16-bit file stay visible.
"""

from pathlib import Path
from typing import Any

import cv2
import imagehash
import numpy as np
import pydicom
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
SMALLEST_SIDE = 8
# Pillow refuses more than 179 million pixels, as a safeguard of web servers; a film scan may have more.
LARGEST_AREA = 20_000 * 20_000
Image.MAX_IMAGE_PIXELS = LARGEST_AREA

# 16 x 16 bits: with 8 x 8, chest films of different patients are as near as two copies of one film
# (`duplicates` has the numbers).
HASH_SIDE = 16

# The only DICOM elements that are read: pixels and how to show them. Whatever names a patient is skipped unparsed.
DICOM_PIXELS = [
    *("SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "Rows", "Columns", "NumberOfFrames"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue"),
    *("PixelData", "FloatPixelData", "DoubleFloatPixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
    *("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence"),
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"),
    *(
        f"{colour}PaletteColorLookupTable{part}"
        for colour in ("Red", "Green", "Blue")
        for part in ("Descriptor", "Data")
    ),
]


class ImageError(ValueError):
    """An image that cannot be read right: `problem; remedy`."""


def decode(path: str | Path) -> np.ndarray:
    """The image in a file as uint8 [height, width], or [height, width, 3] where it has colours.

    PNG, JPEG, TIFF, BMP, WebP and DICOM. EXIF rotation is applied, palettes are expanded, what is transparent is
    laid over black (the surround of a film), and RGB without colours becomes grey. DICOM: rescale slope and
    intercept (or modality LUT), window (or VOI LUT), and MONOCHROME1 inverted, in that order.

    Raises ImageError for what cannot be read right: a file that is cut off or no image, several
    frames, pixels that are NaN or infinite, one value all over, fewer than 8 or more than 400 million pixels.
    """
    path = Path(path)
    dicom = path.suffix.lower() in (".dcm", ".dicom") or _starts_with(path, b"DICM", at=128)
    pixels = _decode_dicom(path) if dicom else _decode_picture(path)
    if pixels.ndim == 3 and _is_grey(pixels):
        pixels = np.ascontiguousarray(pixels[..., 0])
    height, width = pixels.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        raise ImageError(
            f"only {width} x {height} pixels; give the image in its full size (at least {SMALLEST_SIDE} a side)"
        )
    if pixels.min() == pixels.max():
        raise ImageError("constant image, all pixels have one value; export it again, or remove it from the data")
    return pixels


def fit_image(image: np.ndarray, size: int, fit: str, channels: int) -> np.ndarray:
    """An image as uint8 [size, size, channels].

    `fit`: `stretch` changes the aspect ratio (the plain resize of Schaudt et al. 2023); `pad` keeps all of the image
    between black margins; `crop` keeps the middle. `channels` 1 takes the luminance of colours (ITU-R 601), 3
    repeats grey. Bicubic with the filter widened to the reduction: Pillow's default, and so the paper's; it does not
    alias at any ratio, where a box filter does at broken ones and Lanczos rings at the edges of ribs and labels.
    """
    mode = {1: "L", 3: "RGB"}[channels]
    picture = Image.fromarray(image).convert(mode)
    if fit == "stretch":
        picture = picture.resize((size, size), Image.Resampling.BICUBIC)
    elif fit == "pad":
        picture = ImageOps.pad(picture, (size, size), Image.Resampling.BICUBIC)
    elif fit == "crop":
        picture = ImageOps.fit(picture, (size, size), Image.Resampling.BICUBIC)
    else:
        raise ValueError(f"fit must be stretch, pad or crop, not {fit!r}")
    return np.asarray(picture).reshape(size, size, channels)


def perceptual_hash(image: np.ndarray) -> str:
    """256 bits as 64 hex digits that stay nearly the same when an image is recompressed, resized or brightened.

    The signs, about their median, of the 16 x 16 lowest frequencies of the image at 64 x 64 (pHash, Zauner 2010).
    """
    return str(imagehash.phash(Image.fromarray(image), hash_size=HASH_SIDE))


def _decode_picture(path: Path) -> np.ndarray:
    try:
        # A stream, not a path: Pillow maps an uncompressed TIFF from its path into memory and mixes up the rows of
        # one whose orientation says that it lies on its side.
        with path.open("rb") as stream, Image.open(stream, formats=FORMATS) as picture:
            _refuse_frames(1 if picture.format == "MPO" else getattr(picture, "n_frames", 1))
            if picture.width * picture.height > LARGEST_AREA:
                raise Image.DecompressionBombError
            return _to_pixels(picture, path)
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        if _starts_with(path, b"II*\0", b"MM\0*"):
            return _to_8_bits(_decode_deep(path))
        raise ImageError(
            "no image that can be read; give PNG, JPEG, TIFF, BMP, WebP or DICOM, or remove the file"
        ) from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"more than {LARGEST_AREA:,} pixels; give a smaller copy of the image") from error
    # Of a damaged file Pillow and OpenCV raise anything.
    except Exception as error:
        raise ImageError(f"truncated or damaged file ({error}); copy it again from its source") from error


def _to_pixels(picture: Image.Image, path: Path) -> np.ndarray:
    white_is_zero = picture.format == "TIFF" and picture.tag_v2.get(262) == 0
    # Pillow keeps the upper half of the 16 bits of a colour channel: of 12-bit data four bits would be left.
    deep_colour = picture.mode in ("RGB", "RGBA", "LA") and bool(picture.tile) and ";16" in str(picture.tile[0][3])
    picture.load()
    # Pillow has turned a TIFF while loading it.
    picture = picture if picture.format == "TIFF" else ImageOps.exif_transpose(picture)
    if deep_colour:
        return _on_black(Image.fromarray(_to_8_bits(_decode_deep(path))), picture)
    if picture.mode.startswith("I") or picture.mode == "F":
        pixels = _to_8_bits(np.asarray(picture))
        # Pillow inverts this kind of TIFF at 8 bits but not at 16.
        return 255 - pixels if white_is_zero else pixels
    return _on_black(picture.convert("L" if picture.mode in ("1", "L", "LA") else "RGB"), picture)


def _on_black(opaque: Image.Image, picture: Image.Image) -> np.ndarray:
    """The pixels of `opaque` laid over black where `picture`, the same image, is transparent."""
    if not picture.has_transparency_data:
        return np.asarray(opaque)
    surround = Image.new(opaque.mode, opaque.size)
    surround.paste(opaque, mask=picture.convert("RGBA").getchannel("A"))
    return np.asarray(surround)


def _decode_deep(path: Path) -> np.ndarray:
    """The pixels of a PNG or TIFF in the depth of the file, rotated by its EXIF orientation; colours as RGB."""
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR)
    if pixels is None:
        raise ImageError("damaged file, or a rare kind of TIFF; save it again as 16-bit TIFF or PNG")
    return pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[..., ::-1])


def _to_8_bits(pixels: np.ndarray) -> np.ndarray:
    """Pixels of any type as uint8: their minimum as 0, their maximum as 255; uint8 as it is."""
    if pixels.dtype == np.uint8:
        return pixels
    if not np.isfinite(pixels).all():
        raise ImageError("pixels that are NaN or infinite; export the image again, or mask them in your own tool")
    low, high = float(pixels.min()), float(pixels.max())
    scaled = np.empty(pixels.shape, np.uint8)
    # By rows: a film of 100 million pixels in float64 at once would take a gigabyte.
    for row in range(0, len(pixels), 256):
        scaled[row : row + 256] = np.round((pixels[row : row + 256] - low) / ((high - low) or 1) * 255)
    return scaled


def _is_grey(pixels: np.ndarray) -> bool:
    return all(np.array_equal(pixels[..., 0], pixels[..., channel]) for channel in (1, 2))


def _refuse_frames(frames: int) -> None:
    if frames > 1:
        raise ImageError(f"{frames} frames in one file; save the one that is meant as a file of its own")


def _starts_with(path: Path, *magics: bytes, at: int = 0) -> bool:
    with path.open("rb") as stream:
        stream.seek(at)
        return stream.read(4) in magics


def _decode_dicom(path: Path) -> np.ndarray:
    try:
        dataset = pydicom.dcmread(path, force=True, specific_tags=DICOM_PIXELS)
        if "Rows" not in dataset:
            raise ImageError("a DICOM file without an image (a report, a directory), or none at all; export the image")
        _refuse_frames(int(dataset.get("NumberOfFrames") or 1))
        if dataset.get("BitsAllocated", 0) > 16:
            raise ImageError(f"DICOM with {dataset.BitsAllocated} bits per pixel; export it with 16 at most")
        if "TransferSyntaxUID" not in dataset.file_meta:
            dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
        return _show_dicom(dataset)
    except ImageError:
        raise
    except (NotImplementedError, RuntimeError) as error:
        raise ImageError(
            "a DICOM compression that cannot be read here, or damaged data in one "
            f"({dataset.file_meta.TransferSyntaxUID.name}); decompress the file first, for example with gdcmconv --raw"
        ) from error
    # Of a damaged file, or one that only calls itself DICOM, pydicom raises anything.
    except Exception as error:
        raise ImageError(f"truncated or damaged DICOM file ({error}); export it again from its source") from error


def _show_dicom(dataset: Any) -> np.ndarray:
    """Stored values as uint8 through the modality, VOI and presentation steps of DICOM PS3.3 C.11.

    Grey goes through a table of all values that occur: the steps are in float64, and a film has 100 million pixels.
    """
    stored = dataset.pixel_array
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        return _to_8_bits(pydicom.pixels.apply_color_lut(stored, dataset))
    if stored.ndim == 3:
        return _to_8_bits(stored)
    lowest = stored.min()
    occurring = np.arange(int(lowest), int(stored.max()) + 1)
    values = pydicom.pixels.apply_modality_lut(occurring, dataset)
    if dataset.get("WindowCenter") is not None and dataset.get("WindowWidth") is not None:
        # Two values beyond any window tell what it makes black and white, also where the image reaches neither.
        with np.errstate(over="ignore"):
            black, white, *shown = pydicom.pixels.apply_windowing(np.concatenate([[-1e9, 1e9], values]), dataset)
    elif dataset.get("VOILUTSequence"):
        item = dataset.VOILUTSequence[0]
        _, first, depth = item.LUTDescriptor
        data = item.LUTData
        entries = np.frombuffer(data, "<u2") if isinstance(data, bytes) else np.asarray(data)
        shown = entries[np.clip(np.round(values).astype(int) - first, 0, len(entries) - 1)]
        black, white = 0, 2**depth - 1
    elif stored.dtype == np.uint8 and np.array_equal(values, occurring):
        shown, black, white = values, 0, 255
    else:
        padding = dataset.get("PixelPaddingValue")
        present = stored if padding is None or (stored == padding).all() else stored[stored != padding]
        shown = values
        black, white = sorted(float(values[int(end) - int(lowest)]) for end in (present.min(), present.max()))
    shown = np.clip((np.asarray(shown, float) - black) / ((white - black) or 1), 0, 1)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        shown = 1 - shown
    # The difference may wrap around in a signed type; read as unsigned it is right.
    return np.round(shown * 255).astype(np.uint8)[(stored - lowest).view(f"u{stored.itemsize}")]
