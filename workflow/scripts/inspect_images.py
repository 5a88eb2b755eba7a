from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.ingestion import write_index

    write_index(snakemake.output.index, threads=snakemake.threads, **spec)
