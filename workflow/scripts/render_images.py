from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.ingestion import write_images

    write_images(
        snakemake.input.index,
        snakemake.output.images,
        size=int(snakemake.wildcards.size),
        threads=snakemake.threads,
        **spec,
    )
