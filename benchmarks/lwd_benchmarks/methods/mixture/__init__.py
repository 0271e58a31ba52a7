"""A multi-task MLP with a mixture-density head (Bishop 1994), as robomimic's BC-GMM (Mandlekar et al. 2021) has it.

`network` learns it and writes a model file; `actor` acts by one, without torch.
"""
