from pathlib import Path

from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.phantoms import draw_phantoms

    draw_phantoms(Path(snakemake.output.manifest), Path(snakemake.output.images), **spec)
