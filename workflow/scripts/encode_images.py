from pathlib import Path

from synthworth.job import job

with job(snakemake):
    from synthworth.encodings import encode_images

    encode_images(Path(snakemake.input.base), Path(snakemake.input.images), Path(snakemake.output.encodings))
