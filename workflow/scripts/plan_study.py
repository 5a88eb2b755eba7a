from pathlib import Path

from synthworth.job import job

with job(snakemake) as spec:
    from synthworth.planning.outputs import write_plan

    write_plan(
        training=snakemake.input.training,
        selecting=snakemake.input.selecting,
        tests=snakemake.input.tests,
        rates=snakemake.input.rates,
        published=Path(snakemake.input.published[0]).parent,
        markdown=snakemake.output.markdown,
        csv=snakemake.output.csv,
        **spec,
    )
