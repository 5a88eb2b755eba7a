from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.tiny_base_model import train_base_model

    train_base_model(snakemake.input.images, snakemake.output.pipeline, **spec)
