"""AdaBound on CamVid, by the protocol in camvid.py: four rates, then three seeds.

    KERAS_BACKEND=jax python experiments/camvid_adabound.py --shared ../shared --out runs/camvid

About 17 minutes on one H200 with the other two beside it. The result to expect stands in
results/camvid.json under "adabound".
"""

import camvid

if __name__ == "__main__":
    camvid.compete("adabound", __doc__)
