package selection

import (
	"math"
	"slices"

	"mirrorpool/pool"
	"mirrorpool/pool/geo"
)

// tier is how near a candidate is to a client.
type tier uint8

const (
	everybody tier = iota // the place is not looked at

	// Under near, from the client outwards.
	sameNetwork
	sameAS
	sameCountry
	sameContinent
	world

	// Under distance.
	nearest
	withinMargin
	farther
	unlocated
)

var tierNames = [...]string{
	everybody:     "everybody",
	sameNetwork:   "same override network",
	sameAS:        "same AS",
	sameCountry:   "same country",
	sameContinent: "same continent",
	world:         "world",
	nearest:       "nearest",
	withinMargin:  "within 5 %",
	farther:       "farther",
	unlocated:     "no coordinates",
}

func (t tier) String() string { return tierNames[t] }

// tierTaken is a tier and whether its members were taken.
type tierTaken struct {
	tier  tier
	taken bool
}

// narrow is step 3: it takes the near ones of the field.
func (c *Chooser) narrow(d *decision) {
	place := d.client.Place
	switch {
	case len(d.field) == 0:
		return
	case c.policy.Nearness == pool.None:
		d.reason = "the policy is none"
	case !place.Known():
		d.reason = "the client's place is unknown"
	case c.policy.Nearness == pool.Near:
		c.takeTiers(d)
		return
	default:
		from := positionOf(place)
		if from.known {
			c.takeNearest(d, from)
			return
		}
		d.reason = "the client has no coordinates"
	}
	d.tiers = []tierTaken{{everybody, true}}
	d.chosen = d.field
}

// takeTiers takes whole tiers from the client outwards until there are as many
// candidates as are needed.
func (c *Chooser) takeTiers(d *decision) {
	var members [world + 1]int
	for _, i := range d.field {
		t := tierOf(d.client.Place, c.candidates[i].Place)
		d.fates[i].tier = t
		members[t]++
	}
	taken, last := 0, world
	for t := sameNetwork; t <= world; t++ {
		d.tiers = append(d.tiers, tierTaken{t, taken < c.needed})
		if taken < c.needed {
			last = t
		}
		taken += members[t]
	}
	d.take(func(f *fate) bool { return f.tier <= last })
}

// tierOf gives the innermost tier around the client that holds the candidate.
// What is unknown is the same as nothing.
func tierOf(client, candidate geo.Place) tier {
	switch {
	case client.Network.IsValid() && client.Network == candidate.Network:
		return sameNetwork
	case client.ASN != 0 && client.ASN == candidate.ASN:
		return sameAS
	case client.Country != "" && client.Country == candidate.Country:
		return sameCountry
	case client.Continent != "" && client.Continent == candidate.Continent:
		return sameContinent
	}
	return world
}

// distanceMargin is how much farther than the last of those needed a candidate
// may be and still be taken: a few kilometres decide nothing.
const distanceMargin = 1.05

// takeNearest takes as many candidates as are needed, nearest first, and all
// that are hardly farther than the last of them. Those without coordinates
// are farther than all others, and equally far.
func (c *Chooser) takeNearest(d *decision, from position) {
	distances := make([]float64, len(d.field))
	for k, i := range d.field {
		distances[k] = math.Inf(1)
		d.fates[i].distance = -1
		if to := c.positions[i]; to.known {
			distances[k] = from.distance(to)
			d.fates[i].distance = distances[k]
		}
	}
	sorted := slices.Clone(distances)
	slices.Sort(sorted)
	last := sorted[min(c.needed, len(sorted))-1]
	for k, i := range d.field {
		f := &d.fates[i]
		switch {
		case math.IsInf(distances[k], 1):
			f.tier = unlocated
		case distances[k] <= last:
			f.tier = nearest
		case distances[k] <= last*distanceMargin:
			f.tier = withinMargin
		default:
			f.tier = farther
		}
	}
	all := math.IsInf(last, 1)
	d.tiers = []tierTaken{{nearest, true}, {withinMargin, true}, {farther, all}, {unlocated, all}}
	d.take(func(f *fate) bool { return all || f.tier <= withinMargin })
}

// take moves those of the field that are near to chosen and notes the rest as
// too far.
func (d *decision) take(near func(*fate) bool) {
	d.chosen = make([]int, 0, len(d.field))
	for _, i := range d.field {
		f := &d.fates[i]
		if near(f) {
			d.chosen = append(d.chosen, i)
		} else {
			f.step, f.cause = leftOutByPlace, tooFar
		}
	}
}

// earthRadius is the mean radius in km.
const earthRadius = 6371.0088

// position is a point on the unit sphere.
type position struct {
	known   bool
	x, y, z float64
}

// positionOf gives the position of a place; an unknown one if its coordinates
// are missing or no numbers.
func positionOf(p geo.Place) position {
	if !p.HasCoordinates || !finite(p.Latitude) || !finite(p.Longitude) {
		return position{}
	}
	latitude, longitude := p.Latitude*math.Pi/180, p.Longitude*math.Pi/180
	return position{
		known: true,
		x:     math.Cos(latitude) * math.Cos(longitude),
		y:     math.Cos(latitude) * math.Sin(longitude),
		z:     math.Sin(latitude),
	}
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// distance gives the great-circle distance in km. It is the haversine formula:
// the haversine of the angle between two points is a quarter of the square of
// the straight line through the sphere, which, unlike the cosine, is exact for
// points that are close.
func (p position) distance(q position) float64 {
	dx, dy, dz := p.x-q.x, p.y-q.y, p.z-q.z
	haversine := (dx*dx + dy*dy + dz*dz) / 4
	return 2 * earthRadius * math.Asin(math.Sqrt(min(haversine, 1)))
}
