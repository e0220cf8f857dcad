"""Inside networks: activations, how alike two networks are, filters.

sampling      which images, patches and channels (Appendix C)
taps          layers of networks -> activations
source        activations of several networks on the same images
stream        a pass over the images, accumulating `moments`
moments       sums that covariances are made of
measures      covariances -> CCA, SVCCA, PWCCA
similarity    all of it for pairs of networks; `results` is what it gives
activations   activations on disk, as `npy` with a `manifest`
filters       first-layer filters as pictures
"""
