from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.statistics.outputs import write_verdict

    write_verdict(snakemake.input.comparisons, snakemake.output.verdict, **spec)
