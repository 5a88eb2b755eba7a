from synthworth.job import job

with job(snakemake):
    from synthworth.shards import render_shard

    render_shard(snakemake.input.shard, snakemake.output.images, size=int(snakemake.wildcards.size))
