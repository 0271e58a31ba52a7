"""The comparison of methods behind lwd_ros's documented figures: baselines, studies, controller benchmarks, report."""
