from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.statistics.outputs import write_worth

    write_worth(snakemake.input.predictions, snakemake.input.indices, output=snakemake.output.worth, **spec)
