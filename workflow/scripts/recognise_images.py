from pathlib import Path

from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.classifiers.recognition import recognise_images

    recognise_images(
        classifier=Path(snakemake.input.classifier),
        images=Path(snakemake.input.images),
        index=Path(snakemake.input.index),
        shards=[Path(shard) for shard in snakemake.input.shards],
        rendered=[Path(images) for images in snakemake.input.rendered],
        recognised=Path(snakemake.output.recognition),
        confused=Path(snakemake.output.confusion),
        **spec,
    )
