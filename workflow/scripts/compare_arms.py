from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.statistics.outputs import write_comparisons

    write_comparisons(
        snakemake.input.predictions,
        output=snakemake.output.comparisons,
        components=snakemake.output.components,
        **spec,
    )
