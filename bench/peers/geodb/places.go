package main

import (
	"fmt"
	"math/rand/v2"
)

// A place is what the database says of a network: an invented city.
type place struct {
	country   country
	city      string
	latitude  float64 // degrees
	longitude float64 // degrees
}

// A country with its rough middle, and its share of the networks.
type country struct {
	continent string
	code      string
	latitude  float64 // degrees
	longitude float64 // degrees
	share     int
}

// citiesPerShare is how many cities a country has for each point of its share.
const citiesPerShare = 10

// places are the invented cities; a country is in it as often as it has cities.
type places []place

// newPlaces scatters the cities of each country around its middle.
func newPlaces(random *rand.Rand) places {
	var all places
	for _, c := range countries() {
		for i := range c.share * citiesPerShare {
			all = append(all, place{
				country: c,
				city:    fmt.Sprintf("City %s %d", c.code, i+1),
				// Four decimals, as the real databases have.
				latitude:  float64(int((c.latitude+6*random.Float64()-3)*1e4)) / 1e4,
				longitude: float64(int((c.longitude+8*random.Float64()-4)*1e4)) / 1e4,
			})
		}
	}
	return all
}

// draw returns any of the places.
func (p places) draw(random *rand.Rand) place {
	return p[random.IntN(len(p))]
}

// countries are the countries of the database, some of every continent.
func countries() []country {
	return []country{
		{"AF", "DZ", 28, 3, 1},
		{"AF", "EG", 27, 30, 2},
		{"AF", "KE", 0, 38, 1},
		{"AF", "MA", 32, -6, 1},
		{"AF", "NG", 9, 8, 2},
		{"AF", "SN", 14, -14, 1},
		{"AF", "TN", 34, 9, 1},
		{"AF", "ZA", -29, 25, 3},
		{"AS", "AE", 24, 54, 1},
		{"AS", "BD", 24, 90, 1},
		{"AS", "CN", 35, 105, 20},
		{"AS", "HK", 22, 114, 2},
		{"AS", "ID", -2, 118, 4},
		{"AS", "IL", 31, 35, 2},
		{"AS", "IN", 21, 78, 9},
		{"AS", "IR", 32, 53, 3},
		{"AS", "JP", 36, 138, 10},
		{"AS", "KR", 36, 128, 6},
		{"AS", "KZ", 48, 67, 1},
		{"AS", "MY", 4, 102, 2},
		{"AS", "PH", 12, 122, 2},
		{"AS", "PK", 30, 69, 1},
		{"AS", "SA", 24, 45, 2},
		{"AS", "SG", 1, 104, 2},
		{"AS", "TH", 15, 101, 2},
		{"AS", "TR", 39, 35, 4},
		{"AS", "TW", 24, 121, 3},
		{"AS", "VN", 16, 107, 3},
		{"EU", "AT", 47, 14, 2},
		{"EU", "BE", 51, 4, 2},
		{"EU", "BG", 43, 25, 1},
		{"EU", "CH", 47, 8, 3},
		{"EU", "CZ", 50, 15, 2},
		{"EU", "DE", 51, 10, 11},
		{"EU", "DK", 56, 10, 2},
		{"EU", "EE", 59, 26, 1},
		{"EU", "ES", 40, -4, 5},
		{"EU", "FI", 62, 26, 2},
		{"EU", "FR", 46, 2, 9},
		{"EU", "GB", 54, -2, 10},
		{"EU", "GR", 39, 22, 1},
		{"EU", "HU", 47, 20, 1},
		{"EU", "IE", 53, -8, 1},
		{"EU", "IS", 65, -18, 1},
		{"EU", "IT", 43, 12, 6},
		{"EU", "LT", 55, 24, 1},
		{"EU", "LV", 57, 25, 1},
		{"EU", "NL", 52, 6, 6},
		{"EU", "NO", 62, 10, 2},
		{"EU", "PL", 52, 20, 4},
		{"EU", "PT", 39, -8, 1},
		{"EU", "RO", 46, 25, 2},
		{"EU", "RS", 44, 21, 1},
		{"EU", "RU", 60, 100, 8},
		{"EU", "SE", 62, 15, 3},
		{"EU", "SK", 49, 19, 1},
		{"EU", "UA", 49, 32, 3},
		{"NA", "CA", 60, -95, 7},
		{"NA", "CR", 10, -84, 1},
		{"NA", "CU", 21, -80, 1},
		{"NA", "GT", 15, -90, 1},
		{"NA", "MX", 23, -102, 4},
		{"NA", "PA", 9, -80, 1},
		{"NA", "US", 38, -97, 60},
		{"OC", "AU", -27, 133, 5},
		{"OC", "FJ", -18, 175, 1},
		{"OC", "NZ", -41, 174, 2},
		{"SA", "AR", -34, -64, 3},
		{"SA", "BR", -10, -55, 9},
		{"SA", "CL", -30, -71, 2},
		{"SA", "CO", 4, -72, 2},
		{"SA", "EC", -2, -77, 1},
		{"SA", "PE", -10, -76, 1},
		{"SA", "UY", -33, -56, 1},
		{"SA", "VE", 8, -66, 1},
	}
}
