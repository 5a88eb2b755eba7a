from pathlib import Path

from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.classifiers.recognition import recognise_images

    recognise_images(
        classifiers=[Path(classifier) for classifier in snakemake.input.classifiers],
        images=Path(snakemake.input.images),
        index=Path(snakemake.input.index),
        train_index=Path(snakemake.input.train_index) if snakemake.input.train_index else None,
        shards=[Path(shard) for shard in snakemake.input.shards],
        rendered=[Path(images) for images in snakemake.input.rendered],
        recognised=Path(snakemake.output.recognition),
        confused=Path(snakemake.output.confusion),
        **spec,
    )
