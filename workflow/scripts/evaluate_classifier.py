from pathlib import Path

from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.classifiers.evaluation import evaluate_classifier

    evaluate_classifier(
        folder=Path(snakemake.input.classifier),
        images=Path(snakemake.input.images),
        index=Path(snakemake.input.index),
        output=Path(snakemake.output.predictions),
        **spec,
    )
