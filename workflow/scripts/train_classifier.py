from pathlib import Path

from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.classifiers.training import train_classifier

    train_classifier(
        train_images=Path(snakemake.input.images),
        train_index=Path(snakemake.input.index),
        select_images=Path(snakemake.input.select_images),
        select_index=Path(snakemake.input.select_index),
        shards=[Path(shard) for shard in snakemake.input.shards],
        rendered=[Path(images) for images in snakemake.input.rendered],
        copies=[Path(flags) for flags in snakemake.input.copies],
        pretrained=Path(snakemake.input.pretrained) if snakemake.input.pretrained else None,
        output=Path(snakemake.output.classifier),
        workers=snakemake.threads - 1,
        **spec,
    )
