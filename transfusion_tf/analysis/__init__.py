"""Inside networks: activations and the similarity of two networks.

sampling           the images, patches and channels to compare (Appendix C)
endpoints          layers of networks -> activations
activation_source  activations of several networks on the same images
accumulate         one pass over the images, accumulating `moments`
moments            the sums behind covariances
fourth_moments     the sums behind unbiased CKA
cka                linear CKA of arrays, biased and unbiased
alignment          sums -> unbiased CKA
cca                covariances -> CCA, SVCCA, PWCCA, CKA
similarity         all of it for pairs of networks
compare_runs       the same for the checkpoints of runs
activations        activations on disk, as `npy` with a `manifest`
"""
