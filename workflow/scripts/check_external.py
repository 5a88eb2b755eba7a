from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.external import write_external

    write_external(
        snakemake.input.index,
        snakemake.input.own,
        output=snakemake.output.index,
        pairs=snakemake.output.near_duplicates,
        **spec,
    )
