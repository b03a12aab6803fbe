import mujoco
import numpy as np
import pytest

from workbench import raycast

SIZES = {
    "sphere": ".5",
    "capsule": ".2 .4",
    "ellipsoid": ".3 .5 .2",
    "cylinder": ".3 .4",
    "box": ".3 .4 .2",
}
CAMERA = {"azimuth": 90.0, "elevation": -20.0, "distance": 3.0, "fovy": 40.0}


def world(kind):
    model = mujoco.MjModel.from_xml_string(f"""<mujoco><worldbody>
        <geom type='plane' size='20 20 1'/>
        <geom type='{kind}' size='{SIZES[kind]}' pos='.1 .2 1' euler='30 40 50'/>
    </worldbody></mujoco>""")
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


@pytest.mark.parametrize("kind", SIZES)
def test_normals_agree_with_finite_differences_of_the_surface(kind):
    model, data = world(kind)
    eye = np.array([0.3, -3.0, 1.9])
    ahead = (data.geom_xpos[1] - eye) / np.linalg.norm(data.geom_xpos[1] - eye)
    side = np.cross(ahead, [0, 0, 1.0])
    above = np.cross(side, ahead)
    geom = np.zeros(1, np.int32)

    def hit(a, b):
        ray = ahead + a * side + b * above
        ray /= np.linalg.norm(ray)
        distance = mujoco.mj_ray(model, data, eye, ray, None, 1, -1, geom)
        return eye + distance * ray if geom[0] == 1 else None

    checked = 0
    for a, b in np.random.default_rng(0).uniform(-0.12, 0.12, (60, 2)):
        points = [hit(a, b), hit(a + 1e-5, b), hit(a, b + 1e-5), hit(a - 1e-5, b), hit(a, b - 1e-5)]
        if any(p is None for p in points):
            continue
        numeric = np.cross(points[1] - points[3], points[2] - points[4])
        numeric /= np.linalg.norm(numeric)
        numeric *= -np.sign(numeric @ ahead)
        normal = raycast._normals(model, data, np.array([1]), points[0][None], -ahead[None])[0]
        checked += 1
        assert normal @ numeric > 0.99, (kind, a, b)
    assert checked > 20


def test_picture_shows_sky_floor_shape_and_its_shadow():
    model, data = world("sphere")
    frames = [(data, np.array([0.1, 0.2, 0.8]))]
    colours = np.array([[1, 1, 1], [1.0, 0.2, 0.1]])
    (picture,) = raycast.pictures(model, frames, (96, 72), CAMERA, colours)
    assert picture.shape == (72, 96, 3)
    assert picture.dtype == np.uint8
    picture = picture.astype(int)
    red = picture[..., 0] - picture[..., 2]
    assert red[36, 48] > 80
    assert red[:, :20].max() < 10
    bare = mujoco.MjData(model)
    bare.qpos[:] = data.qpos
    model.geom_pos[1] = [0, 0, 50]  # out of sight
    mujoco.mj_forward(model, bare)
    (empty,) = raycast.pictures(model, [(bare, frames[0][1])], (96, 72), CAMERA, colours)
    darker = empty.astype(int).sum(-1) - picture.sum(-1)
    assert ((darker > 60) & (red < 10)).sum() > 30, "there is no shadow on the floor"
