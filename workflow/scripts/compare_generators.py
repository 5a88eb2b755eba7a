from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.statistics.outputs import write_generators

    write_generators(snakemake.input.runs, snakemake.output.generators, **spec)
